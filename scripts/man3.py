#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""man3.py HEADERS FOLDER VERSION DATE - manual pages of section 3 from the public headers

One page for each function: weir_segment_create.3, from the comment in front of
its prototype; a link for each struct, enum and macro to the page of its header. One for each header: weir-segment.h.3, from the comment on top,
its types and a list of its functions. The comments stay the one source; what
they must look like stands in the first lines of parse_comment().
"""

import errno
import os
import pathlib
import re
import sys

LABELS = ["Returns", "Errors", "Blocking", "Threads", "Fork", "Signals", "Source"]


class Function:
    def __init__(self, header, name, summary, prototype, body):
        self.header = header
        self.name = name
        self.summary = summary
        self.prototype = prototype
        arguments = prototype[prototype.index("(") + 1 : prototype.rindex(")")]
        callbacks = re.findall(r"\(\*(\w+)\)", arguments)
        plain = re.sub(r"\([^()]*\)", "", arguments)
        self.parameters = callbacks + re.findall(r"(\w+)(?=,|$)", plain)
        self.returns_int = bool(re.match(r"int\b", prototype))
        # What the comment on top of the header has is on the header's own page.
        body = "\n".join(body)
        body = re.sub(r"\b([Ss])ee above\b", r"\1ee weir-%s(3)" % header, body)
        body = re.sub(r"\bsee the table\b", "see the table in weir-%s(3)" % header, body)
        self.description, self.sections = parse_comment(body.split("\n"))


def fail(sentence):
    sys.exit("man3.py: " + sentence)


def comment_lines(comment):
    """The text of /* ... */ without its frame."""
    lines = []
    for line in comment.strip().splitlines():
        line = re.sub(r"^\s*(/\*+|\*/|\*)", "", line)
        line = re.sub(r"\*/\s*$", "", line)
        lines.append(line[1:].rstrip() if line.startswith(" ") else line.rstrip())
    return "\n".join(lines).strip("\n").split("\n")


def parse_comment(lines):
    """Splits a comment into paragraphs and labelled sections.

    A label ("Returns:", "Blocking:" ...) begins a section at the start of a line
    or after a sentence; the section ends at the next label or an empty line.
    """
    paragraphs, sections = [], {}
    label_at = r"(?:^|(?<=[.;)] ))(%s): " % "|".join(LABELS)
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        if not re.search(r"^\s*(%s): " % "|".join(LABELS), block, re.M):
            paragraphs.append(block)
            continue
        text = re.sub(r"\s*\n\s*", " ", block.strip())
        parts = re.split(label_at, text)
        if parts[0].strip():
            paragraphs.append(parts[0].strip())
        for label, content in zip(parts[1::2], parts[2::2]):
            content = content.strip()
            sections[label] = sections[label] + " " + content if label in sections else content
    return paragraphs, sections


def escape(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


def safe_line(line):
    return "\\&" + line if line[:1] in (".", "'") else line


def inline(text):
    """One paragraph of prose as roff: function names, constants and pages in bold."""
    text = text.replace("\\", "\\e")
    text = re.sub(r"(?<![\w-])-(E[A-Z0-9]+)\b", r"\\fB\\-\1\\fP", text)
    text = re.sub(r"\b(weir_\w+)\(\)", r"\\fB\1\\fP(3)", text)
    text = re.sub(r"<(weir/\w+\.h)>", r"\\fB<\1>\\fP", text)
    text = re.sub(r"\b((?:WEIR|SHM|IPC|SEM)_[A-Z0-9_]+)\b", r"\\fB\1\\fP", text)
    text = re.sub(r"(?<![\w-])([a-z_]+|weir-\w+\.h)\(([1-8])\)", r"\\fB\1\\fP(\2)", text)
    text = re.sub(r"(?<!\w)\*(\w[\w ]*)\*(?!\w)", r"\\fI\1\\fP", text)
    return text


def fill(text):
    """Filled prose: each sentence on a line of its own, as roff likes it."""
    text = re.sub(r"\s*\n\s*", " ", text.strip())
    sentences = re.sub(r"([a-z0-9)]{2}[.:;]) (?=[A-Z\\<])", r"\1\n", text).split("\n")
    return "\n".join(safe_line(inline(sentence)) for sentence in sentences)


def verbatim(text):
    lines = [safe_line(escape(line)) for line in text.expandtabs(4).split("\n")]
    return ".nf\n" + "\n".join(lines) + "\n.fi"


def is_table(block):
    lines = block.split("\n")
    return any("|" in line for line in lines) or all(line.startswith("  ") for line in lines)


def is_list(block):
    return any(re.match(r"\s*- ", line) for line in block.split("\n"))


def block_as_roff(block):
    lines = block.split("\n")
    if is_table(block):
        return ".RS\n" + verbatim(block) + "\n.RE"
    if is_list(block):
        out, first = [], True
        for item in re.split(r"\n\s*(?=- )", "\n" + block):
            if item.strip().startswith("- "):
                out.append(".IP \\(bu 2\n" + fill(item.strip()[2:]))
            elif item.strip():
                out.append(fill(item))
            first = False
        return "\n".join(out)
    # A sentence that ends in ':' may be followed by an indented table in the same block.
    for i in range(1, len(lines)):
        if all(line.startswith("  ") for line in lines[i:]) and lines[i - 1].endswith(":"):
            table = "\n".join(lines[i:])
            return fill("\n".join(lines[:i])) + "\n.RS\n" + verbatim(table) + "\n.RE"
    return fill(block)


def parameters_as_roff(block, parameters):
    """A block that explains parameters becomes a tagged list."""
    text = re.sub(r"\s*\n\s*", " ", block.strip())
    names = "|".join(map(re.escape, parameters)) or "(?!)"
    one = r"(?:%s)(?:, (?:%s))*" % (names, names)
    parts = re.split(r"(?:^|(?<=[.;] ))(%s): " % one, text)
    if len(parts) == 1:
        return None
    out = [fill(parts[0])] if parts[0].strip() else []
    for name, content in zip(parts[1::2], parts[2::2]):
        out.append(".TP\n.I %s\n%s" % (name, fill(content)))
    return "\n".join(out)


# What the parts of an "Errors:" look like, outside of brackets. Codes with "or" between them
# share what stands in the bracket behind them; those with a comma do not. A colon behind codes
# that have no bracket explains them all: "-EBADF, -ELOOP: see epoll_ctl(2)".
CODES = re.compile(r"(?<![\w-])-E[A-Z0-9]+\b(?: or -E[A-Z0-9]+\b)*")
CODE = re.compile(r"(?<![\w-])-(E[A-Z0-9]+)\b")
BEFORE_CODES = re.compile(r"(?:^|[,;.:] |\b(?:and|or|also|else) )$")
SENTENCE_END = r"\.(?= |$)"
CLAUSE_END = re.compile(r"[.;](?= |$)|,(?= (?:and )?(?:-E|those |as weir_))")

# Where a comment leaves the rest of its errors to another function.
OTHERS = re.compile(r"(?:for names |by name, )?those of .*|(?:as|what) weir_\w+\(\).*")
OTHERS_IN_RETURNS = re.compile(
    r"(?:^|(?<=else )|(?<=or )|(?<=: )|(?<=; ))(?:as|those of) weir_\w+\(\)[^.;]*"
)
NEVER = re.compile(r"but never -E[A-Z0-9]+(?: or -E[A-Z0-9]+)*")

# What no remark looks like: the page would say half a sentence.
FRAGMENT = re.compile(
    r"^[^\w\"/']|\s[.,;]|[(,;:]\.$|^(?:and|or|but|else|nor|also)\b"
    r"|\b(?:and|or|of|as|with|those|the|a|an|for|when|see)\.$",
    re.I,
)


class Part:
    """Errors of one kind: what stands in front of them, they, and what is said behind."""

    def __init__(self, introduction=""):
        self.introduction = introduction
        self.errors = []  # ([code], remark)
        self.others = []
        self.sentences = []


def mask(name, text):
    """The text with dots for all that stands in brackets: as long as it was."""
    masked, depth = [], 0
    for character in text:
        depth -= character == ")"
        masked.append("\0" if depth else character)
        depth += character == "("
        if depth < 0:
            break
    if depth:
        fail("%s: the brackets of '%s' do not match" % (name, text))
    return "".join(masked)


def capitalised(text, parameters=()):
    """With a capital in front, unless that is an identifier."""
    word = re.match(r"[^\s,;:.]*", text).group()
    if word in parameters or re.search(r"[_()]|->|\w\.\w", word):
        return text
    return text[:1].upper() + text[1:]


def pieces(name, text, mark):
    """Split behind each mark that stands outside of brackets."""
    ends = [match.end() for match in re.finditer(mark, mask(name, text))] + [len(text)]
    found = [text[begin:end].strip() for begin, end in zip([0] + ends, ends)]
    return [piece for piece in found if piece]


def remark_of(masked, end):
    """(begin, end, has a colon) of what is said of the codes that end here."""
    rest = masked[end:]
    if rest.startswith(" ("):
        return end + 2, masked.index(")", end), False
    if not re.match(r": | (?:when|with|at|for|while|after|in) ", rest):
        return end, end, False
    until = CLAUSE_END.search(masked, end + 1)
    begin = end + (2 if rest[0] == ":" else 1)
    return begin, until.start() if until else len(masked), rest[0] == ":"


def as_those(others):
    return re.sub(r"^as (?=weir_)", "those of ", others)


def take_gap(name, parts, gap, before_codes):
    """What stands between two codes: the rest of the list, sentences, an introduction."""
    sentences = pieces(name, gap, SENTENCE_END)
    rest = sentences.pop(0) if sentences else ""
    for clause in pieces(name, rest, r";(?= )"):
        clause = re.sub(r"^[,; ]*(?:(?:and|or|else|also)\b,? *)*", "", clause)
        clause = re.sub(r"[,;. ]*$", "", clause)
        if clause.endswith(":") and before_codes:
            parts.append(Part(capitalised(clause)))
        elif OTHERS.fullmatch(clause):
            parts[-1].others.append(as_those(clause))
        elif clause:
            fail("%s: '%s' is no error, nor where others are" % (name, clause))
    for sentence in sentences:
        if sentence.endswith(":") and before_codes:
            parts.append(Part(sentence))
        elif sentence.endswith(".") and sentence == capitalised(sentence):
            parts[-1].sentences.append(sentence)
        else:
            fail("%s: '%s' is not a sentence" % (name, sentence))


def split_errors(name, text):
    """[Part] of "-EINVAL (size, mode), -ENOENT or -EACCES (x); and, once for each: ..."."""
    parts = [Part()]
    masked = mask(name, text)
    masked = NEVER.sub(lambda never: "\0" * len(never.group()), masked)
    position, bare = 0, []  # bare: codes side by side, without a remark so far
    for run in CODES.finditer(masked):
        gap = text[position : run.start()]
        if not BEFORE_CODES.search(text[: run.start()]):
            fail("%s: '%s' stands in the midst of a sentence" % (name, gap + run.group()))
        take_gap(name, parts, gap, True)
        if gap != ", ":
            bare = []
        codes = CODE.findall(run.group())
        begin, end, has_colon = remark_of(masked, run.end())
        if has_colon:
            codes = [code for before, _ in bare for code in before] + codes
            del parts[-1].errors[len(parts[-1].errors) - len(bare) :]
        remark = text[begin:end].strip()
        parts[-1].errors.append((codes, remark))
        bare = [] if remark else bare + [(codes, remark)]
        position = end + (masked[end : end + 1] == ")")
    take_gap(name, parts, text[position:], False)
    return parts


def split_returns(name, text):
    """Of "Returns:" only its errors: RETURN VALUE has the whole, and says what success is."""
    masked = NEVER.sub(lambda never: "\0" * len(never.group()), mask(name, text))
    first = CODES.search(masked)
    begin = first.start() if first else len(text)
    parts = split_errors(name, text[begin:])
    for part in parts:
        part.sentences = []
    others = OTHERS_IN_RETURNS.finditer(text[:begin].rstrip(".;, "))
    parts[0].others[:0] = [as_those(match.group()) for match in others]
    return parts


def parts_of(function):
    """What the function's comment says of errors, as [Part]."""
    parts = [Part()]
    for label in ("Returns", "Errors"):
        text = function.sections.get(label, "")
        if not text or (label == "Returns" and not function.returns_int):
            continue
        split = split_returns if label == "Returns" else split_errors
        found = split(function.name, text)
        for kind in ("errors", "others", "sentences"):
            getattr(parts[0], kind).extend(getattr(found[0], kind))
        parts += found[1:]
        told = {code for part in parts for codes, _ in part.errors for code in codes}
        said = set(CODE.findall(NEVER.sub("", text)))
        if said - told:
            fail("%s: no error of the page is %s" % (function.name, ", ".join(sorted(said - told))))
    return parts


def remark_as_roff(function, codes, remark, meanings):
    text = remark or meanings.get(codes[0]) or os.strerror(getattr(errno, codes[0]))
    text = capitalised(text, function.parameters) + ("" if text.endswith(".") else ".")
    if FRAGMENT.search(text):
        fail("%s: of -%s it would say '%s'" % (function.name, " or -".join(codes), text))
    return fill(text)


def tag_as_roff(codes):
    tags = ["\\fB\\-%s\\fP" % code for code in codes]
    return ", ".join(tags) if len(tags) > 2 else " or ".join(tags)


def others_as_roff(others, has_list):
    """One sentence; what "as weir_x()" and "those of weir_x()" both say, once."""
    kept = []
    for other in dict.fromkeys(others):
        longer = [o for o in others if len(o) > len(other) and o.startswith(other)]
        if not longer:
            kept.append(other)
    text = "; ".join(kept)
    return fill(("Besides: " + text if has_list else capitalised(text)) + ".")


def errors_as_roff(function, meanings):
    out = []
    for part in parts_of(function):
        paragraphs = []
        if part.introduction:
            out.append(".PP\n" + fill(part.introduction))
        for codes, remark in part.errors:
            text = remark_as_roff(function, codes, remark, meanings)
            out.append(".TP\n%s\n%s" % (tag_as_roff(codes), text))
        if part.others:
            paragraphs.append(others_as_roff(part.others, bool(part.errors)))
        if part.sentences:
            paragraphs.append(fill(" ".join(part.sentences)))
        for paragraph in paragraphs:
            out.append((".PP\n" if out else "") + paragraph)
    return "\n".join(out)


def title(name, section, date, version, what):
    note = '.\\" Made by scripts/man3.py from the header: edit that.'
    return '%s\n.TH %s %s %s "weir %s" "%s"\n.ad l\n.nh' % (note, name, section, date, version, what)


def function_page(function, siblings, meanings, date, version):
    out = [title(function.name, 3, date, version, "weir library functions")]
    out.append(".SH NAME\n%s \\- %s" % (function.name, escape(function.summary)))
    prototype = "\n".join("\\fB%s\\fP" % escape(l) for l in function.prototype.split("\n"))
    out.append(
        ".SH SYNOPSIS\n.nf\n\\fB#include <weir/%s>\\fP\n\n%s\n.fi\n.PP\n"
        "Compile and link with \\fIcc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs weir)\\fP."
        % (function.header, prototype)
    )
    out.append(".SH DESCRIPTION")
    if not function.description:
        out.append(fill(function.summary[0].upper() + function.summary[1:] + "."))
    for i, block in enumerate(function.description):
        listed = parameters_as_roff(block, function.parameters)
        text = listed or block_as_roff(block)
        if i and not text.startswith((".TP", ".IP")):
            out.append(".PP")
        out.append(text)
    returns = function.sections.get("Returns")
    errors = errors_as_roff(function, meanings)
    if returns:
        out.append(".SH RETURN VALUE\n" + fill(capitalised(returns, function.parameters)))
        if errors:
            out.append(
                ".PP\nA negative result is an error code: nothing was acquired or changed, unless\n"
                "an error below says otherwise, and \\fBweir_last_error\\fP(3) says why."
            )
    elif not re.match(r"void\b(?! *\*)", function.prototype):
        fail("%s: the comment has no 'Returns:'" % function.name)
    if errors:
        out.append(".SH ERRORS\n" + errors)
    notes = [
        ".TP\n.B %s\n%s" % (label, fill(capitalised(text, function.parameters)))
        for label in ("Blocking", "Threads", "Fork", "Signals")
        if (text := function.sections.get(label))
    ]
    if notes:
        out.append(".SH NOTES\n" + "\n".join(notes))
    pages = re.findall(r"\b([a-z_]+\([1-8]\))", function.sections.get("Source", ""))
    others = ["%s(3)" % name for name in siblings if name != function.name]
    out.append(see_also(pages + others + ["weir-%s(3)" % function.header, "weir(1)"]))
    return "\n".join(out) + "\n"


def see_also(pages):
    ordered = sorted(dict.fromkeys(pages), key=lambda page: (page[-2], page))
    lines = [".BR %s (%s)" % (escape(p[:-3]), p[-2]) for p in ordered]
    return ".SH SEE ALSO\n" + " ,\n".join(lines)


def header_page(header, text, functions, date, version):
    top = re.search(r"#define WEIR_\w+_H\n\s*(/\*.*?\*/)", text, re.S)
    if not top:
        fail("%s has no comment on top" % header)
    blocks = re.split(r"\n\s*\n", "\n".join(comment_lines(top.group(1))))
    summary = re.split(r"\.(?:\s|$)", re.sub(r"\s*\n\s*", " ", blocks[0]))[0]
    out = [title("weir-" + header, 3, date, version, "weir library functions")]
    out.append(".SH NAME\nweir\\-%s \\- %s" % (header, escape(summary)))
    out.append(".SH SYNOPSIS\n.B #include <weir/%s>\n.SH DESCRIPTION" % header)
    for i, block in enumerate(blocks):
        roff = block_as_roff(block)
        if i and not roff.startswith(".IP"):
            out.append(".PP")
        out.append(roff)
    meanings = error_meanings(text)
    if meanings:
        out.append(".SH ERRORS")
        for code, meaning, cure in meanings:
            sentence = meaning[0].upper() + meaning[1:] + ": " + cure + "."
            out.append(".TP\n.B %s\n%s" % (code, fill(sentence)))
    types = header_types(text)
    if types:
        out.append(".SH TYPES AND CONSTANTS\n" + verbatim("\n\n".join(types)))
    if functions:
        out.append(".SH FUNCTIONS")
        for function in functions:
            summary = function.summary
            out.append(".TP\n.BR %s (3)\n%s" % (function.name, fill(summary)))
    out.append(see_also(["%s(3)" % f.name for f in functions] + ["weir(1)"]))
    return "\n".join(out) + "\n"


def error_meanings(text):
    """The table WEIR_ERRORS: (code, meaning, cure)."""
    text = text.replace("\\\n", " ")
    return re.findall(r'X\((E\w+),\s*"([^"]*)",\s*"([^"]*)"\)', text)


def header_types(text):
    """Each struct, enum and constant, with the comment in front of it, as it stands."""
    pattern = (
        r"(?:^/\*(?:(?!\*/).)*\*/\n)?^(?:(?:struct|enum) \w+ \{\n.*?^\};"
        r"|#define WEIR_(?!\w+_H$)(?!EXPORT)\w+ [^\\\n]+(?=\n))"
    )
    found = []
    for match in re.finditer(pattern, text, re.S | re.M):
        found.append(match.group())
    return found


def header_names(text):
    """What has a name there, beside functions and constants."""
    types = re.findall(r"^(?:struct|enum) (\w+) \{$", text, re.M)
    return set(types + re.findall(r"^#define (weir_\w+|WEIR_\w+)\(", text, re.M))


def parse_header(path):
    text = path.read_text()
    functions = []
    exports = text.count("\nWEIR_EXPORT ")
    pattern = r"(/\*\n(?: \*[^\n]*\n)+? \*/)\nWEIR_EXPORT ([^;]*);"
    for comment, prototype in re.findall(pattern, text):
        lines = comment_lines(comment)
        head = re.match(r"(weir_\w+)\(\) - (.*)", lines[0])
        if not head:
            fail("%s: '%s' should be 'weir_name() - summary'" % (path.name, lines[0]))
        name, summary = head.groups()
        if not re.search(r"\b%s\(" % name, prototype):
            fail("%s: the comment of %s stands before another function" % (path.name, name))
        prototype = prototype.replace("\n" + " " * len("WEIR_EXPORT "), "\n") + ";"
        functions.append(Function(path.name, name, summary, prototype, lines[1:]))
    if len(functions) != exports:
        fail("%s: %d functions, %d with a comment" % (path.name, exports, len(functions)))
    return text, functions


def main():
    if len(sys.argv) != 5:
        fail("usage: man3.py HEADERS FOLDER VERSION DATE")
    headers, folder, version, date = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.3"):
        old.unlink()
    errors = (pathlib.Path(headers) / "error.h").read_text()
    meanings = {code: meaning for code, meaning, _ in error_meanings(errors)}
    if not meanings:
        fail("error.h has no WEIR_ERRORS")
    for path in sorted(pathlib.Path(headers).glob("*.h")):
        if path.name == "export.h":
            continue
        text, functions = parse_header(path)
        names = [function.name for function in functions]
        for function in functions:
            page = function_page(function, names, meanings, date, version)
            (folder / (function.name + ".3")).write_text(page)
        page = header_page(path.name, text, functions, date, version)
        (folder / ("weir-%s.3" % path.name)).write_text(page)
        # By the name of a struct, an enum or a macro one comes to the page that has it.
        for name in header_names(text) - set(names):
            (folder / (name + ".3")).write_text(".so man3/weir-%s.3\n" % path.name)


if __name__ == "__main__":
    main()
