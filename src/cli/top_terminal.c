/* top_terminal.c - a grid on a terminal, by ncurses; nothing else of the program knows it.
 *
 * ncurses notices changes of size and Ctrl-Z by itself. SIGINT and SIGTERM are cli/interrupt.h's,
 * which has to take them before dxi_terminal_open(): ncurses leaves alone what is taken. Ctrl-\ is
 * ignored meanwhile, so that no core file and no broken terminal comes of a slip.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define NCURSES_WIDECHAR 1
#include "cli/top_terminal.h"

#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdlib.h>
#include <wchar.h>

#include "cli/top.h"

#define ESCAPE_DELAY_MS 25 /* how long the rest of a key may take that begins as Esc does */
#define KEY_REDRAW 12      /* Ctrl-L */

enum { PAIR_TITLE = 1, PAIR_WARNING = 2, PAIR_ERROR = 3 };

static SCREEN *screen;
static bool has_colors_wanted;
static void (*quit_before)(int);

int dxi_terminal_open(bool colors)
{
    (void)setlocale(LC_CTYPE, "");
    screen = newterm(NULL, stdout, stdin);
    if (screen == NULL) {
        return DX_EIO;
    }
    quit_before = signal(SIGQUIT, SIG_IGN);
    (void)set_escdelay(ESCAPE_DELAY_MS);
    (void)cbreak();
    (void)noecho();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)curs_set(0);
    has_colors_wanted = colors && has_colors() && start_color() == OK;
    if (has_colors_wanted) {
        (void)use_default_colors();
        (void)init_pair(PAIR_TITLE, COLOR_CYAN, -1);
        (void)init_pair(PAIR_WARNING, COLOR_YELLOW, -1);
        (void)init_pair(PAIR_ERROR, COLOR_RED, -1);
    }
    return DX_OK;
}

void dxi_terminal_close(void)
{
    if (screen != NULL) {
        (void)endwin();
        delscreen(screen);
        screen = NULL;
        (void)signal(SIGQUIT, quit_before);
    }
}

void dxi_terminal_size(int *rows_out, int *columns_out)
{
    getmaxyx(stdscr, *rows_out, *columns_out);
}

static attr_t attributes_of(uint8_t ink, short *pair_out)
{
    *pair_out = 0;
    switch (ink) {
    case DXI_INK_TITLE:
        *pair_out = PAIR_TITLE;
        return A_BOLD;
    case DXI_INK_STRONG:
        return A_BOLD;
    case DXI_INK_QUIET:
        return A_DIM;
    case DXI_INK_SELECTED:
        return A_REVERSE;
    case DXI_INK_WARNING:
        *pair_out = PAIR_WARNING;
        return A_BOLD;
    case DXI_INK_ERROR:
        *pair_out = PAIR_ERROR;
        return A_BOLD;
    default:
        return A_NORMAL;
    }
}

void dxi_terminal_show(const dxi_grid_t *grid)
{
    const bool wide = MB_CUR_MAX > 1; /* else the terminal is told no more than ASCII */
    for (int row = 0; row < grid->rows; row++) {
        for (int column = 0; column < grid->columns; column++) {
            const dxi_cell_t cell = grid->cells[row * grid->columns + column];
            const wchar_t text[] = {cell.code < 0x80 || wide ? (wchar_t)cell.code : L'?', L'\0'};
            cchar_t character;
            short pair = 0;
            const attr_t attributes = attributes_of(cell.ink, &pair);
            (void)setcchar(&character, text, attributes, has_colors_wanted ? pair : 0, NULL);
            (void)mvadd_wch(row, column, &character);
        }
    }
    (void)refresh();
}

void dxi_terminal_redraw(void)
{
    (void)clearok(curscr, TRUE);
}

int dxi_terminal_key(void)
{
    static const struct {
        int theirs, ours;
    } keys[] = {
        {KEY_UP, DXI_KEY_UP},         {KEY_DOWN, DXI_KEY_DOWN},
        {KEY_LEFT, DXI_KEY_LEFT},     {KEY_RIGHT, DXI_KEY_RIGHT},
        {KEY_PPAGE, DXI_KEY_PAGE_UP}, {KEY_NPAGE, DXI_KEY_PAGE_DOWN},
        {KEY_HOME, DXI_KEY_HOME},     {KEY_END, DXI_KEY_END},
        {KEY_BTAB, DXI_KEY_BACK_TAB}, {KEY_BACKSPACE, DXI_KEY_BACKSPACE},
        {KEY_ENTER, DXI_KEY_ENTER},   {KEY_RESIZE, DXI_KEY_RESIZE},
        {'\r', DXI_KEY_ENTER},
    };
    const int key = getch();
    if (key == ERR) {
        return -1;
    }
    if (key == KEY_REDRAW) {
        dxi_terminal_redraw();
        return DXI_KEY_RESIZE;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i].theirs == key) {
            return keys[i].ours;
        }
    }
    return key < 256 ? key : DXI_KEY_RESIZE; /* one that means nothing here */
}
