<?php
// SPDX-License-Identifier: MIT
// put.php KEY TEXT - writes a note into the System V segment with this key.
const NOTE_BYTES = 64;

$segment = shmop_open(intval($argv[1], 0), 'c', 0600, NOTE_BYTES) or exit(1);
['count' => $count] = unpack('Lcount/Z60text', shmop_read($segment, 0, NOTE_BYTES));
shmop_write($segment, pack('LZ60', $count + 1, $argv[2]), 0);
