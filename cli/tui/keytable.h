/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is said of the screens: their keys and presets. `?`, the manual and docs/SCREENS.md come from here.
 */
#ifndef KVMSCOPE_CLI_TUI_KEYTABLE_H
#define KVMSCOPE_CLI_TUI_KEYTABLE_H

#include "views/tui/key.h"

extern const struct key_row tui_keys[]; /* those of the screens, wherever the focus is; ends with key 0 */

#define PRESETS 5
/* F2 and on. */
extern const struct preset {
	const char *name, *title;
	const char *layout; /* views/tui/layout.h */
} tui_presets[PRESETS];

#endif
