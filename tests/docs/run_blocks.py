#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_blocks.py - does what a document tells its reader to do

Goal: every code block of README.md and docs/tutorial.md is true.
Method: the blocks are taken in their order, in a fresh folder that has links to
the checkout's examples/ and src/ and to the build folder (as build-release); commands run
in one interactive bash on a terminal of its own, as a reader has it, and what
they print is compared with what the document shows.

What the line that opens a block says:
  c file=NAME             the block is the file NAME; it is written
  diff file=NAME from=OLD the block, applied to OLD, gives NAME ('@@' between hunks)
  c in=NAME               the block is a passage of NAME (spaces do not count)
  console                 lines "$ command" are run ("> " continues one); the others are
                          what it prints. "[...]" stands for any text, alone for any lines
  console numbers=any     any number and any run of spaces will do for each other (0x00000000 and
                          0xffffffff stand for themselves); "you" is the user's name
  console vary=3,0x1f,you each of these words stands for what varies: a number of its kind (of
                          digits, or of hexadecimal ones), or the user's name; in all places where it
                          stands, for the same one. Any run of spaces will do; all else is compared
                          as it is
  console status=N        the last command ends with status N; the others, and all elsewhere,
                          with 0, except before a "$ echo $?"
  console libc=glibc      as console; left out when cc does not use glibc
  console kernel=MSG_COPY as console; left out when the kernel was built without MSG_COPY
  sh tested=PATH          not run here: each line stands in the checkout's PATH, which does it
  text                    a picture, or something to read
Any other block is an error, and so is a link to a file that is not there. The shell's notices
that a job starts, is stopped or has ended are not compared: they come when they like.

With --marked a block of another kind than console is left alone when its line says nothing but
the language: another test does it. With --program FILE commands find this program by its name, as
if it were installed.
With --files FOLDER each written file must stand there too, behind a line with its licence;
--write puts it there.
"""
import argparse
import ctypes
import errno
import os
import pty
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 60  # for one command
LICENCE = "/* SPDX-License-Identifier: MIT */\n"
PROMPT = re.compile(r"\036(\d+)\036")
JOB_NOTICE = re.compile(r"\[\d+\]( \d+|[+ -] +(Done|Killed|Exit|Stopped|Terminated).*)")
BEFORE_STOPPED = re.compile(r"^\n(?=\[\d+\][+ -] +Stopped)", re.MULTILINE)  # bash's empty line


class Wrong(Exception):
    """The document and the truth differ."""


class Block:
    def __init__(self, line, info):
        self.line = line
        words = info.split()
        self.language = words[0] if words else ""
        self.options = dict(word.partition("=")[::2] for word in words[1:])
        self.lines = []

    def text(self):
        return "".join(line + "\n" for line in self.lines)


def read_blocks(path):
    blocks, block = [], None
    with open(path, encoding="utf-8") as document:
        for number, line in enumerate(document, 1):
            line = line.rstrip("\n")
            if not line.lstrip().startswith("```"):
                if block:
                    block.lines.append(line)
            elif block:
                blocks.append(block)
                block = None
            else:
                block = Block(number, line.strip()[3:])
    if block:
        raise Wrong(f"line {block.line}: the block is never closed")
    return blocks


def check_links(path):
    """Each link to a file of the checkout leads to one."""
    with open(path, encoding="utf-8") as document:
        for number, line in enumerate(document, 1):
            for target in re.findall(r"\]\(([^)#\s]+)", line):
                if "://" not in target and not os.path.exists(
                        os.path.join(os.path.dirname(path), target)):
                    raise Wrong(f"line {number}: there is no {target}")


def apply_diff(block, old):
    """The hunks of a block, each found in old exactly once, in their order."""
    hunks = [[]]
    for line in block.lines:
        if line.startswith("@@"):
            hunks.append([])
        else:
            hunks[-1].append(line if line else " ")
    result, rest = "", old
    for hunk in filter(None, hunks):
        if any(line[0] not in " +-" for line in hunk):
            raise Wrong("a line of the diff starts with none of ' ', '+', '-'")
        before = "".join(line[1:] + "\n" for line in hunk if line[0] != "+")
        after = "".join(line[1:] + "\n" for line in hunk if line[0] != "-")
        if rest.count(before) != 1:
            raise Wrong(f"this occurs {rest.count(before)} times, not once:\n{before}")
        head, _, rest = rest.partition(before)
        result += head + after
    return result + rest


def user_name():
    return f"(?:you|{re.escape(pwd.getpwuid(os.getuid()).pw_name)})"


class Exact:
    """Every word of an output counts."""

    def split(self, text):
        return [text]

    def regex(self, part):
        return re.escape(part)


class AnyNumber(Exact):
    """numbers=any"""

    def split(self, text):
        return re.split(r"(0x[0-9a-f]+|\d+| +|\byou\b)", text)

    def regex(self, part):
        if part in ("0x00000000", "0xffffffff"):
            return part
        if part.startswith("0x"):
            return "0x[0-9a-f]+"
        if part == "you":
            return user_name()
        if part.isdigit():
            return r"\d+"
        return " +" if part.startswith(" ") else re.escape(part)


class Vary(Exact):
    """vary=WORD,...: its first occurrence in a block says what the others are."""

    def __init__(self, words, lines):
        self.groups, self.seen = {}, set()
        for number, word in enumerate(words):
            if not any(re.search(self.whole(word), line) for line in lines):
                raise Wrong(f"'{word}' shall vary and is not in the output")
            self.groups[word] = f"vary{number}"

    @staticmethod
    def whole(word):
        """Hexadecimal digits may be a part of more of them: those of a key are of a file."""
        return rf"\b{word}\b" if word.isdigit() or word == "you" else re.escape(word)

    @staticmethod
    def kind(word):
        if word == "you":
            return user_name()
        digits = re.fullmatch("(0x)?[0-9a-f]+", word)
        if not digits:
            raise Wrong(f"'{word}' is no number that could vary")
        return r"\d+" if word.isdigit() else f"{digits[1] or ''}[0-9a-f]+"

    def split(self, text):
        longest_first = sorted(self.groups, key=len, reverse=True)
        return re.split("(" + "|".join([" +", *map(self.whole, longest_first)]) + ")", text)

    def regex(self, part):
        if part not in self.groups:
            return " +" if part.startswith(" ") else re.escape(part)
        group = self.groups[part]
        if part in self.seen:
            return f"(?P={group})"
        self.seen.add(part)
        return f"(?P<{group}>{self.kind(part)})"


def regex_of(expected, words):
    """The regular expression that an expected output stands for."""
    regex = ""
    for line in expected:
        if JOB_NOTICE.fullmatch(line):
            continue
        if line.strip() == "[...]":
            regex += r"(?:.*\n)*?"
        else:
            pieces = ["".join(map(words.regex, words.split(part)))
                      for part in line.rstrip().split("[...]")]
            regex += ".*?".join(pieces) + " *\n"
    return regex


class Shell:
    """An interactive bash on a pseudo-terminal."""

    def __init__(self, folder, environment, grace_s):
        self.unread = ""
        self.grace_s = grace_s
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        self.command("stty -echo -onlcr cols 120 rows 50; bind 'set enable-bracketed-paste off' "
                     "2>/dev/null; PS1= PS2= PROMPT_COMMAND='printf \"\\036%d\\036\" $?'")
        self.until(lambda: PROMPT.search(self.unread), DEADLINE_S)
        self.unread = ""

    def command(self, text):
        os.write(self.terminal, text.encode() + b"\n")

    def until(self, condition, seconds):
        """Reads until the condition holds; False when it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            ready = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))[0]
            try:
                data = os.read(self.terminal, 65536) if ready else b""
            except OSError:
                data = b""
            if not data:
                return False
            self.unread += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return True

    def output(self):
        """What was printed, as it stands on the screen, without notices about jobs."""
        lines = BEFORE_STOPPED.sub("", PROMPT.sub("", self.unread)).split("\n")
        lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in lines]
        return "\n".join(line for line in lines if not JOB_NOTICE.fullmatch(line))

    def run(self, command, expected):
        """Runs one command; its status, once what was printed since start() begins as expected."""
        self.unread = PROMPT.sub("", self.unread)
        self.command(command)
        if not self.until(lambda: PROMPT.search(self.unread), DEADLINE_S):
            raise Wrong(f"$ {command}\ndid not end within {DEADLINE_S} s; it printed:\n"
                        + self.output())
        status = int(PROMPT.search(self.unread).group(1))
        self.until(lambda: expected.match(self.output()), self.grace_s)
        return status

    def start(self):
        self.unread = ""

    def end(self):
        os.kill(self.pid, signal.SIGHUP)  # bash hands it on to its jobs
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def commands_of(block):
    """The block's commands, each with the lines that it shall print."""
    commands = []
    for line in block.lines:
        if line.startswith("$ "):
            commands.append([line[2:], []])
        elif not commands:
            raise Wrong("a console block starts with '$ command'")
        elif line.startswith("> ") and not commands[-1][1]:
            commands[-1][0] += "\n" + line[2:]
        else:
            commands[-1][1].append(line)
    return commands


def words_of(block, commands):
    """Which words of the block's output count."""
    if "vary" in block.options:
        return Vary(block.options["vary"].split(","), [line for _, shown in commands
                                                       for line in shown])
    return AnyNumber() if block.options.get("numbers") == "any" else Exact()


def run_console(shell, block):
    """Output is compared from the block's start on: what a program in the background prints may
    come before or after the next prompt."""
    commands = commands_of(block)
    words = words_of(block, commands)
    shell.start()
    regex, shown = "", []
    for index, (command, expected) in enumerate(commands):
        last = index + 1 == len(commands)
        regex += regex_of(expected, Exact() if command == "echo $?" else words)
        shown += expected
        status = shell.run(command, re.compile(regex))
        matches = re.fullmatch if last else re.match
        if not matches(regex, shell.output()):
            raise Wrong(f"$ {command}\nUp to here shall be printed:\n"
                        + "".join(f"  {line}\n" for line in shown) + "but this is:\n"
                        + "".join(f"  {line}\n" for line in shell.output().splitlines()))
        wanted = int(block.options.get("status", 0)) if last else 0
        asked = not last and commands[index + 1][0] == "echo $?"
        if status != wanted and not asked:
            raise Wrong(f"$ {command}\nended with status {status}, not {wanted}; printed was:\n"
                        + shell.output())


def kernel_has_msg_copy():
    """Asked of a queue that cannot be there: without MSG_COPY the kernel does not look for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.msgrcv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long,
                            ctypes.c_int]
    message = ctypes.create_string_buffer(64)
    ipc_nowait, msg_copy = 0o4000, 0o40000
    libc.msgrcv(0x7fffffff, message, 8, 0, ipc_nowait | msg_copy)
    return ctypes.get_errno() != errno.ENOSYS


def check_passage(block, text):
    if " ".join(block.text().split()) not in " ".join(text.split()):
        raise Wrong(f"this is no passage of {block.options['in']}")


def check_passages(document, source):
    """Those of the checkout's own files; nothing is run. How many there are."""
    count = 0
    for block in read_blocks(document):
        name = os.path.join(source, block.options.get("in", ""))
        if block.language != "c" or not os.path.isfile(name):
            continue
        count += 1
        with open(name, encoding="utf-8") as file:
            try:
                check_passage(block, file.read())
            except Wrong as wrong:
                raise Wrong(f"line {block.line}: {wrong}") from None
    return count


class Reader:
    """Somebody who reads the document and does what it says."""

    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = os.path.join(folder, "weir")
        os.makedirs(self.folder)
        for name in ("examples", "src"):
            os.symlink(os.path.join(arguments.source, name), os.path.join(self.folder, name))
        if arguments.build:
            os.symlink(arguments.build, os.path.join(self.folder, "build-release"))
        self.shell = Shell(self.folder, self.environment(folder), arguments.grace)

    def environment(self, folder):
        """The reader's; cc is the compiler, and with the flags, that weir was built with."""
        programs = os.path.join(folder, "bin")
        os.makedirs(programs)
        os.makedirs(os.path.join(folder, "home"))
        wrapper = os.path.join(programs, "cc")
        with open(wrapper, "w", encoding="utf-8") as script:
            flags = " ".join(self.arguments.flag)
            compiler = shutil.which(self.arguments.cc) or self.arguments.cc
            script.write(f'#!/bin/sh\nexec {compiler} {flags} "$@"\n')
        os.chmod(wrapper, 0o755)
        for program in self.arguments.program:
            os.symlink(program, os.path.join(programs, os.path.basename(program)))
        kept = {name: value for name, value in os.environ.items()
                if name in ("WEIR_DIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "TMPDIR")}
        return {**kept, "HOME": os.path.join(folder, "home"), "LC_ALL": "C.UTF-8",
                "PATH": programs + ":" + os.environ["PATH"], "TERM": "dumb", "NO_COLOR": "1",
                "PYTHONDONTWRITEBYTECODE": "1"}

    def has_glibc(self):
        macros = subprocess.run([self.arguments.cc, "-dM", "-E", "-include", "stdio.h", "-"],
                                input="", capture_output=True, text=True, check=True)
        return "__GLIBC__" in macros.stdout

    def path(self, name):
        return os.path.join(self.folder, name)

    def contents(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            raise Wrong(f"there is no file {name} so far") from None

    def keep(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        if not self.arguments.files:
            return
        stored = os.path.join(self.arguments.files, name)
        if self.arguments.write:
            with open(stored, "w", encoding="utf-8") as file:
                file.write(LICENCE + text)
        try:
            with open(stored, encoding="utf-8") as file:
                if file.read() != LICENCE + text:
                    raise Wrong(f"{stored} is not what the document makes of it")
        except FileNotFoundError:
            raise Wrong(f"{stored} is not there") from None

    def check_elsewhere(self, block):
        with open(os.path.join(self.arguments.source, block.options["tested"]),
                  encoding="utf-8") as file:
            text = file.read()
        for line in block.lines:
            command = line.split("#")[0].strip()
            if command and command not in text:
                raise Wrong(f"'{command}' does not stand in {block.options['tested']}")

    def follow(self, block):
        options, kind = block.options, block.language
        if kind == "c" and "file" in options:
            self.keep(options["file"], block.text())
        elif kind == "diff" and "from" in options:
            self.keep(options["file"], apply_diff(block, self.contents(options["from"])))
        elif kind == "c" and "in" in options:
            check_passage(block, self.contents(options["in"]))
        elif kind == "console" and options.get("libc") == "glibc" and not self.has_glibc():
            print(f"line {block.line} is left out: it is about glibc")
        elif kind == "console" and options.get("kernel") == "MSG_COPY" and not kernel_has_msg_copy():
            print(f"line {block.line} is left out: this kernel has no MSG_COPY")
        elif kind == "console":
            run_console(self.shell, block)
        elif kind == "sh" and "tested" in options:
            self.check_elsewhere(block)
        elif kind != "text":
            raise Wrong("the block does not say how it is tested")


def main():
    parser = argparse.ArgumentParser(description="does what a document tells its reader to do")
    parser.add_argument("document")
    parser.add_argument("--source", required=True, help="the checkout")
    parser.add_argument("--build", help="the build folder that the document installs from")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--flag", action="append", default=[], help="one more for the compiler")
    parser.add_argument("--marked", action="store_true",
                        help="leave a block alone that names only its language, but for console")
    parser.add_argument("--program", action="append", default=[], metavar="FILE",
                        help="one more that the commands find")
    parser.add_argument("--grace", type=float, default=10, metavar="SECONDS", help="for what a "
                        "program in the background prints after the prompt is back")
    parser.add_argument("--files", help="the folder that has the document's programs")
    parser.add_argument("--write", action="store_true", help="store them there")
    parser.add_argument("--passages", action="store_true",
                        help="look only whether the passages of the source are still there")
    arguments = parser.parse_args()
    if arguments.passages:
        try:
            print(f"{arguments.document}: "
                  f"{check_passages(arguments.document, arguments.source)} passages are true")
            return 0
        except Wrong as wrong:
            print(f"FAILED: {arguments.document}, {wrong}")
            return 1
    for program in ("bash", "pkg-config", "ipcs", "cmake"):
        if not shutil.which(program):
            print(f"{program} is not here")
            return 77
    try:
        for end in pty.openpty():
            os.close(end)
    except OSError as error:
        print(f"no terminal can be had: {error}")
        return 77

    folder = tempfile.mkdtemp()
    reader, done = None, 0
    try:
        check_links(arguments.document)
        reader = Reader(arguments, folder)
        for block in read_blocks(arguments.document):
            if arguments.marked and block.language != "console" and not block.options:
                continue
            try:
                reader.follow(block)
            except Wrong as wrong:
                raise Wrong(f"line {block.line}: {wrong}") from None
            done += 1
    except Wrong as wrong:
        print(f"FAILED: {arguments.document}, {wrong}")
        return 1
    finally:
        if reader:
            reader.shell.end()
        shutil.rmtree(folder)
    print(f"{arguments.document}: {done} blocks are true")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
