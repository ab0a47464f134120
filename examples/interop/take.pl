# SPDX-License-Identifier: MIT
# take.pl KEY - prints the note in the System V segment with this key.
use strict;
use warnings;

use constant { NOTE_BYTES => 64 };

my $id = shmget(oct($ARGV[0]), NOTE_BYTES, 0) // die "shmget: $!\n";
shmread($id, my $bytes, 0, NOTE_BYTES) or die "shmread: $!\n";
my ($count, $text) = unpack('L Z60', $bytes);    # as struct note in note.h
print "$count: $text\n";
