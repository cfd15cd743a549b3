/* screen.c - a text that is replaced in place.
 *
 * Signals are blocked except while it waits, so that none is lost and nothing runs in a handler but
 * the store of its number.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/output.h"
#include "disruptorx/clock.h"

/* Its own screen, without a cursor and without wrapped lines; and back. */
#define ENTER "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
#define LEAVE "\x1b[?7h\x1b[?25h\x1b[?1049l"
#define HOME "\x1b[H"
#define CLEAR_LINE "\x1b[K"
#define CLEAR_BELOW "\x1b[J"

static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

#define SIGNAL_COUNT (sizeof SIGNALS / sizeof SIGNALS[0])

static struct {
    char *text; /* of the frame that is shown, or being written */
    size_t bytes;
    FILE *frame;
    sigset_t waiting; /* the mask while it waits */
    struct termios terminal;
    bool has_keys; /* standard input is a terminal, and was changed */
} screen;

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

bool dxi_screen_possible(void)
{
    const char *const term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

/* Standard output is flushed first, so that all is in order. */
static void put(const char *bytes, size_t count)
{
    fwrite(bytes, 1, count, stdout);
    fflush(stdout);
}

static void keys_take(void)
{
    screen.has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen.terminal) == 0;
    if (screen.has_keys) {
        struct termios raw = screen.terminal;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
}

static void terminal_take(void)
{
    keys_take();
    put(ENTER, strlen(ENTER));
}

static void terminal_give_back(void)
{
    put(LEAVE, strlen(LEAVE));
    if (screen.has_keys) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &screen.terminal);
    }
}

void dxi_screen_enter(void)
{
    struct sigaction action;
    sigset_t blocked;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigemptyset(&blocked);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        sigaddset(&blocked, SIGNALS[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &blocked, &screen.waiting);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        sigdelset(&screen.waiting, SIGNALS[i]);
        (void)sigaction(SIGNALS[i], &action, NULL);
    }
    terminal_take();
}

FILE *dxi_screen_begin(void)
{
    free(screen.text);
    screen.text = NULL;
    screen.frame = open_memstream(&screen.text, &screen.bytes);
    dxi_output_compose(screen.frame);
    return screen.frame;
}

/* How many lines the terminal has. */
static size_t rows(void)
{
    struct winsize size = {0};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1;
    return known ? size.ws_row : 24;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    return lines;
}

void dxi_screen_show(void)
{
    dxi_output_compose(NULL);
    if (screen.frame == NULL || fclose(screen.frame) != 0) {
        screen.frame = NULL;
        return;
    }
    screen.frame = NULL;
    const size_t lines = count_lines(screen.text);
    const size_t fit = rows();
    const size_t shown = lines > fit ? fit - 1 : lines;
    const char *at = screen.text;
    fputs(HOME, stdout);
    for (size_t i = 0; i < shown; i++) {
        const size_t bytes = strcspn(at, "\n");
        fwrite(at, 1, bytes, stdout);
        /* No new line behind the last one of the screen: it would scroll. */
        fputs(i + 1 < fit ? CLEAR_LINE "\n" : CLEAR_LINE, stdout);
        at += bytes + 1;
    }
    if (shown < lines) {
        fprintf(stdout, "%s... %zu more lines: make the window larger" CLEAR_LINE "%s",
                dxi_style(stdout, DXI_STYLE_QUIET), lines - shown,
                dxi_style(stdout, DXI_STYLE_PLAIN));
    }
    put(CLEAR_BELOW, lines < fit ? strlen(CLEAR_BELOW) : 0);
}

/* Ctrl-Z: the shell gets its terminal, and we stop; "fg" goes on here. */
static void stop_for_a_while(void)
{
    terminal_give_back();
    (void)raise(SIGSTOP);
    terminal_take();
}

/* True when q was typed, or the terminal is gone. */
static bool key_quits(void)
{
    char key = 0;
    const ssize_t bytes = read(STDIN_FILENO, &key, 1);
    return bytes <= 0 || key == 'q' || key == 'Q' || key == '\x04';
}

dxi_screen_event_t dxi_screen_wait(int64_t ns)
{
    const int64_t until_ns = dx_clock_ns() + ns;
    for (int64_t left = ns; left > 0; left = until_ns - dx_clock_ns()) {
        const struct timespec time = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        struct pollfd keys = {.fd = screen.has_keys ? STDIN_FILENO : -1, .events = POLLIN};
        caught = 0;
        const int ready = ppoll(&keys, 1, &time, &screen.waiting);
        if (ready > 0 && key_quits()) {
            return DXI_SCREEN_QUIT;
        }
        if (ready < 0 && errno == EINTR && caught == SIGTSTP) {
            stop_for_a_while();
            return DXI_SCREEN_TIME;
        }
        if (ready < 0 && errno == EINTR && caught == SIGWINCH) {
            return DXI_SCREEN_TIME;
        }
        if (ready < 0 && (errno != EINTR || caught != 0)) {
            return DXI_SCREEN_QUIT;
        }
    }
    return DXI_SCREEN_TIME;
}

void dxi_screen_leave(void)
{
    terminal_give_back();
    if (screen.text != NULL) {
        put(screen.text, strlen(screen.text));
    }
    free(screen.text);
    screen.text = NULL;
}
