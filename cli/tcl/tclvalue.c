/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Values to Tcl objects and back, with a cache of key objects.
 */
#include "cli/tcl/tclvalue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcl.h>

/* Keys by their address, which is a constant's most of the time; the content decides, as a pool may reuse an address. */
#define KEY_SLOTS 1024
#define KEY_TRIES 8
static struct key {
	const char *at;
	Tcl_Obj *obj;
} keys[KEY_SLOTS];

/* Where a key's object is, or goes. Should all places for it be taken, one that is there makes room. */
static struct key *key_slot(const char *key)
{
	size_t first = (uintptr_t)key ^ (uintptr_t)key >> 10;

	for (size_t i = 0; i < KEY_TRIES; i++) {
		struct key *k = &keys[(first + i) % KEY_SLOTS];
		if (k->at == key || !k->obj)
			return k;
	}
	return &keys[first % KEY_SLOTS];
}

static Tcl_Obj *key_object(const char *key)
{
	struct key *k = key_slot(key);

	if (k->at == key && !strcmp(Tcl_GetString(k->obj), key))
		return k->obj;
	if (k->obj)
		Tcl_DecrRefCount(k->obj);
	k->at = key;
	k->obj = Tcl_NewStringObj(key, -1);
	Tcl_IncrRefCount(k->obj);
	return k->obj;
}

void tclvalue_forget_keys(void)
{
	for (size_t i = 0; i < KEY_SLOTS; i++)
		if (keys[i].obj) {
			Tcl_DecrRefCount(keys[i].obj);
			keys[i].obj = NULL;
			keys[i].at = NULL;
		}
}

Tcl_Obj *tcl_from_u64(uint64_t x)
{
	char text[24];

	if (x <= INT64_MAX)
		return Tcl_NewWideIntObj((Tcl_WideInt)x);
	return Tcl_NewStringObj(text, snprintf(text, sizeof(text), "%llu", (unsigned long long)x));
}

static Tcl_Obj *from_list(const struct value *v)
{
	Tcl_Obj *list = Tcl_NewListObj(0, NULL);

	for (uint32_t i = 0; i < v->n; i++)
		Tcl_ListObjAppendElement(NULL, list, tcl_from_value(&v->items[i]));
	return list;
}

static Tcl_Obj *from_dict(const struct value *v)
{
	Tcl_Obj *dict = Tcl_NewDictObj();

	for (uint32_t i = 0; i < v->n; i++)
		Tcl_DictObjPut(NULL, dict, key_object(v->fields[i].key), tcl_from_value(&v->fields[i].value));
	return dict;
}

Tcl_Obj *tcl_from_value(const struct value *v)
{
	switch ((enum value_type)v->type) {
	case VALUE_NULL:
		return Tcl_NewObj();
	case VALUE_BOOL:
		return Tcl_NewBooleanObj(v->truth);
	case VALUE_INT:
		return Tcl_NewWideIntObj(v->num);
	case VALUE_HEX:
		return tcl_from_u64(v->hex);
	case VALUE_STR:
	case VALUE_REAL:
		return Tcl_NewStringObj(v->str, (int)v->n);
	case VALUE_NA:
		return Tcl_ObjPrintf("n/a (%s)", v->str);
	case VALUE_LIST:
		return from_list(v);
	case VALUE_DICT:
		return from_dict(v);
	}
	return Tcl_NewObj();
}

/* Of v, and in its order. */
static bool has_keys(Tcl_Obj *dict, const struct value *v)
{
	Tcl_DictSearch search;
	Tcl_Obj *key, *item;
	uint32_t same = 0;
	int done;

	if (Tcl_DictObjFirst(NULL, dict, &search, &key, &item, &done) != TCL_OK)
		return false;
	for (; !done && same < v->n && !strcmp(Tcl_GetString(key), v->fields[same].key); same++)
		Tcl_DictObjNext(&search, &key, &item, &done);
	Tcl_DictObjDone(&search);
	return done && same == v->n;
}

bool tcl_refill_dict(Tcl_Obj *dict, const struct value *v)
{
	if (v->type != VALUE_DICT || Tcl_IsShared(dict) || !has_keys(dict, v))
		return false;
	for (uint32_t i = 0; i < v->n; i++)
		Tcl_DictObjPut(NULL, dict, key_object(v->fields[i].key), tcl_from_value(&v->fields[i].value));
	return true;
}

/* ---- back */

static struct value list_value(struct pool *p, Tcl_Obj *o)
{
	Tcl_Obj **items;
	int n;

	if (Tcl_ListObjGetElements(NULL, o, &n, &items) != TCL_OK)
		return v_str(p, Tcl_GetString(o));
	struct value v = v_list(p, (size_t)n);
	for (int i = 0; i < n; i++)
		v_push(p, &v, value_from_tcl(p, items[i]));
	return v;
}

static struct value dict_value(struct pool *p, Tcl_Obj *o)
{
	Tcl_DictSearch search;
	Tcl_Obj *key, *item;
	int done;

	if (Tcl_DictObjFirst(NULL, o, &search, &key, &item, &done) != TCL_OK)
		return v_str(p, Tcl_GetString(o));
	struct value v = v_dict(p, 8);
	for (; !done; Tcl_DictObjNext(&search, &key, &item, &done))
		v_put(p, &v, pool_strdup(p, Tcl_GetString(key)), value_from_tcl(p, item));
	Tcl_DictObjDone(&search);
	return v;
}

/* Decimal or 0x, of 64 bits; what only starts like a number is text. */
static bool integer_value(const char *s, struct value *out)
{
	bool negative = s[0] == '-';
	const char *digits = negative ? s + 1 : s;
	char *end;

	if (digits[0] < '0' || digits[0] > '9' || (digits[0] == '0' && digits[1] && digits[1] != 'x'))
		return false;
	errno = 0;
	unsigned long long x = strtoull(digits, &end, 0);
	if (errno || *end || end == digits || (digits[1] == 'x' && negative))
		return false;
	if (digits[1] == 'x') {
		*out = v_hex(x);
		return true;
	}
	if (negative ? x > 1ull << 63 : x > INT64_MAX)
		return false;
	*out = v_int(negative ? (int64_t)(0 - x) : (int64_t)x);
	return true;
}

/* A number with a fraction as JSON writes it. Without a point an exponent alone is text ("12e4" is hex of memory), unless
 * Tcl itself made the number. */
static bool is_real(const char *s, bool computed)
{
	const char *digits = s + (*s == '-');
	size_t whole = strspn(digits, "0123456789"), part = 0;
	const char *at = digits + whole;

	if (!whole || (whole > 1 && *digits == '0'))
		return false;
	if (*at == '.') {
		part = strspn(++at, "0123456789");
		at += part;
		if (!part)
			return false;
	}
	if (!part && !computed)
		return false;
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '+' || *at == '-';
		size_t exponent = strspn(at, "0123456789");
		at += exponent;
		if (!exponent)
			return false;
	}
	return !*at;
}

struct value value_from_tcl(struct pool *p, Tcl_Obj *o)
{
	const char *type = o->typePtr ? o->typePtr->name : "";
	struct value v;
	int len;

	if (!strcmp(type, "dict"))
		return dict_value(p, o);
	if (!strcmp(type, "list"))
		return list_value(p, o);
	const char *text = Tcl_GetStringFromObj(o, &len);
	if (!len)
		return v_null();
	if (integer_value(text, &v))
		return v;
	v = v_str(p, text);
	if (is_real(text, !strcmp(type, "double")))
		v.type = VALUE_REAL;
	return v;
}
