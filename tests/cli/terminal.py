"""A terminal for tests: a program in a pty, and what it has drawn, as rows of text.

It knows what ncurses sends to a vt100 and to an xterm, and refuses the rest loudly.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

SEQUENCE = re.compile(rb"\x1b(?:\[([?>!]?)([0-9;]*)([@-~])|[()]([0-9A-B])|([78=>DMEHc]))")
UTF8_MORE = {0xc0: 1, 0xe0: 2, 0xf0: 3}


class Screen:
    """Characters on rows; `styles` are those of the attributes that were ever set."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.top, self.bottom = 0, rows - 1
        self.styles = set()
        self.modes = {}
        self.rest = b""

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def line(self, row):
        return "".join(self.cells[row]).rstrip()

    def resize(self, rows, columns):
        self.__init__(rows, columns)

    def feed(self, data):
        data = self.rest + data
        self.rest = b""
        at = 0
        while at < len(data):
            byte = data[at]
            if byte == 0x1b:
                found = SEQUENCE.match(data, at)
                if not found:
                    if len(data) - at < 32:  # not all of it has come yet
                        self.rest = data[at:]
                        return
                    raise AssertionError(f"not known: {data[at:at + 20]!r}")
                self.sequence(found)
                at = found.end()
            elif byte >= 0xc0:
                size = 1 + next(more for first, more in sorted(UTF8_MORE.items(), reverse=True)
                                if byte >= first)
                if len(data) - at < size:
                    self.rest = data[at:]
                    return
                self.put(data[at:at + size].decode())
                at += size
            else:
                self.control(byte)
                at += 1

    def control(self, byte):
        if byte == 0x0d:
            self.column = 0
        elif byte == 0x0a:
            self.down()
        elif byte == 0x08:
            self.column = max(self.column - 1, 0)
        elif byte == 0x09:
            self.column = min((self.column // 8 + 1) * 8, self.columns - 1)
        elif byte >= 0x20:
            self.put(chr(byte))

    def put(self, character):
        if self.column >= self.columns:
            self.column = 0
            self.down()
        self.cells[self.row][self.column] = character
        self.column += 1

    def down(self):
        if self.row == self.bottom:
            self.scroll(self.top, 1)
        else:
            self.row = min(self.row + 1, self.rows - 1)

    def scroll(self, first, count):
        """Lines go up (count > 0) or down between `first` and the bottom of the region."""
        for _ in range(abs(count)):
            if count > 0:
                del self.cells[first]
                self.cells.insert(self.bottom, [" "] * self.columns)
            else:
                del self.cells[self.bottom]
                self.cells.insert(first, [" "] * self.columns)

    def sequence(self, found):
        private, numbers, final, charset, single = found.groups()
        if charset is not None:
            return
        if single is not None:
            if single == b"M":
                if self.row == self.top:
                    self.scroll(self.top, -1)
                else:
                    self.row -= 1
            elif single == b"D":
                self.down()
            return
        values = [int(text) if text else 0 for text in numbers.split(b";")]
        name = final.decode()
        if private:
            for value in values:
                self.modes[value] = name == "h"
            return
        getattr(self, "csi_" + str(ord(name)))(values, max(values[0], 1))

    def erase(self, row, first, last):
        for column in range(max(first, 0), min(last, self.columns)):
            self.cells[row][column] = " "

    def csi_72(self, values, _):  # H
        self.row = min(max(values[0], 1), self.rows) - 1
        self.column = min(max(values[1] if len(values) > 1 else 1, 1), self.columns) - 1

    def csi_74(self, values, _):  # J
        ranges = {0: range(self.row + 1, self.rows), 1: range(0, self.row),
                  2: range(0, self.rows)}
        for row in ranges[values[0]]:
            self.erase(row, 0, self.columns)
        if values[0] != 2:
            self.csi_75(values, 0)

    def csi_75(self, values, _):  # K
        self.erase(self.row, 0 if values[0] else self.column,
                   self.column + 1 if values[0] == 1 else self.columns)

    def csi_65(self, _, count):  # A
        self.row = max(self.row - count, 0)

    def csi_66(self, _, count):  # B
        self.row = min(self.row + count, self.rows - 1)

    def csi_67(self, _, count):  # C
        self.column = min(self.column + count, self.columns - 1)

    def csi_68(self, _, count):  # D
        self.column = max(min(self.column, self.columns - 1) - count, 0)

    def csi_71(self, _, count):  # G
        self.column = min(count, self.columns) - 1

    def csi_100(self, _, count):  # d
        self.row = min(count, self.rows) - 1

    def csi_88(self, _, count):  # X
        self.erase(self.row, self.column, self.column + count)

    def csi_64(self, _, count):  # @
        row = self.cells[self.row]
        row[self.column:self.column] = [" "] * count
        del row[self.columns:]

    def csi_80(self, _, count):  # P
        row = self.cells[self.row]
        del row[self.column:self.column + count]
        row.extend([" "] * (self.columns - len(row)))

    def csi_76(self, _, count):  # L
        self.scroll(self.row, -count)

    def csi_77(self, _, count):  # M
        self.scroll(self.row, count)

    def csi_98(self, _, count):  # b
        for _ in range(count):
            self.put(self.cells[self.row][self.column - 1])

    def csi_114(self, values, _):  # r
        self.top = max(values[0], 1) - 1
        self.bottom = (values[1] if len(values) > 1 and values[1] else self.rows) - 1
        self.row = self.column = 0

    def csi_109(self, values, _):  # m
        self.styles.update(values)

    def csi_104(self, values, _):  # h
        pass

    def csi_108(self, values, _):  # l
        pass

    def csi_116(self, values, _):  # t
        pass


class Terminal:
    """A program in a pty of `rows` times `columns`."""

    def __init__(self, words, environment, rows=24, columns=80, term="vt100"):
        self.screen = Screen(rows, columns)
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(words[0], words, {**environment, "TERM": term, "LC_ALL": "C.UTF-8"})
        self.before = None
        self.status = None

    def settings(self):
        return termios.tcgetattr(self.master)

    def read(self, seconds=0.05):
        """Takes what has come; False at the end."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.screen.feed(data)
        return bool(data)

    def send(self, keys):
        os.write(self.master, keys.encode())

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, holds, what, seconds=30):
        """Reads until a condition of the screen holds."""
        until = time.monotonic() + seconds
        while not holds(self.screen):
            if time.monotonic() > until or not self.read():
                raise AssertionError(f"it never came to this: {what}\n{self.screen.text()}")

    def wait_text(self, text):
        self.wait(lambda screen: text in screen.text(), text)

    def wait_gone(self, text):
        self.wait(lambda screen: text not in screen.text(), f"no {text}")

    def end(self, seconds=30):
        """Reads until the program has ended; returns its exit code, negative for a signal."""
        until = time.monotonic() + seconds
        while self.status is None:
            open_still = self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                while open_still and select.select([self.master], [], [], 0)[0] and self.read():
                    pass
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                raise AssertionError(f"it does not end\n{self.screen.text()}")
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
