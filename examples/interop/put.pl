# SPDX-License-Identifier: MIT
# put.pl KEY TEXT - writes a note into the System V segment with this key.
use strict;
use warnings;

use constant { IPC_CREAT => 01000, NOTE_BYTES => 64 };

my ($key, $text) = @ARGV;
my $id = shmget(oct($key), NOTE_BYTES, IPC_CREAT | 0600) // die "shmget: $!\n";
shmread($id, my $bytes, 0, NOTE_BYTES) or die "shmread: $!\n";
my ($count) = unpack('L', $bytes);    # as struct note in note.h
shmwrite($id, pack('L Z60', $count + 1, $text), 0, NOTE_BYTES) or die "shmwrite: $!\n";
