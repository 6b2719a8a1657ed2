/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Values to Tcl objects and back. A dict's keys are string constants, so their objects are made once and shared: a script
 * that reads memory in a loop allocates what changes and nothing else.
 */
#ifndef KVMSCOPE_CLI_TCLVALUE_H
#define KVMSCOPE_CLI_TCLVALUE_H

#include "core/base/value.h"

struct Tcl_Obj;

/* Null gives the empty string, booleans 1 and 0, VALUE_HEX a number, VALUE_NA "n/a (reason)". Reference count 0. */
struct Tcl_Obj *tcl_from_value(const struct value *v);
/* Make dict what tcl_from_value(v) would give, in place. False, and dict is as before: somebody else holds it, or it does
 * not have the keys of v in the order of v. */
bool tcl_refill_dict(struct Tcl_Obj *dict, const struct value *v);
/* An unsigned number of 64 bits; past INT64_MAX it is decimal text, which Tcl takes for the big number that it is. */
struct Tcl_Obj *tcl_from_u64(uint64_t x);
/* What -j and the views make of a Tcl result: what Tcl holds as a dict or list is one, what reads as an integer is one, the
 * empty string is null, everything else a string. */
struct value value_from_tcl(struct pool *p, struct Tcl_Obj *o);
/* Drop the shared keys; before the process ends, for leak checkers. */
void tclvalue_forget_keys(void);

#endif
