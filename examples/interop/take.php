<?php
// SPDX-License-Identifier: MIT
// take.php KEY - prints the note in the System V segment with this key.
const NOTE_BYTES = 64;

$segment = shmop_open(intval($argv[1], 0), 'a', 0, 0) or exit(1);
['count' => $count, 'text' => $text] = unpack('Lcount/Z60text', shmop_read($segment, 0, NOTE_BYTES));
echo "$count: $text\n";
