/* main.c - the entry of the dx program. The rest is the cli layer, which tests link, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

int main(int argc, char **argv)
{
    return dxi_cli_main(argc, argv);
}
