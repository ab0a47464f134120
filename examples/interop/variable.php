<?php
// SPDX-License-Identifier: MIT
// variable.php KEY [TEXT] - PHP's own way: a variable in a System V segment. What stands there is
// in PHP's format, for PHP alone; weir lists, shows and removes it as any other segment.
$segment = shm_attach(intval($argv[1], 0), 1024, 0600);
if (isset($argv[2]))
    shm_put_var($segment, 1, $argv[2]);
echo shm_get_var($segment, 1), "\n";
shm_detach($segment);
