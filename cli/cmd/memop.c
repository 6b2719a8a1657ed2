/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * memop: read and write guest memory as the MEMOP ioctl does.
 */
#include "cli/cmd/args.h"
#include "cli/session/session.h"
#include "cli/cmd/table.h"
#include "views/record.h"

#include <errno.h>

/* Options and the address; the length or the bytes follow. */
static int common_args(struct args *a, struct memop *op, bool write, struct err *e)
{
	const char *key;
	int ret;

	if (args_flag(a, "-phys"))
		op->op = write ? MEMOP_ABSOLUTE_WRITE : MEMOP_ABSOLUTE_READ;
	else
		op->op = write ? MEMOP_LOGICAL_WRITE : MEMOP_LOGICAL_READ;
	if (args_flag(a, "-check"))
		op->flags |= MEMOP_CHECK_ONLY;
	if (args_flag(a, "-inject"))
		op->flags |= MEMOP_INJECT;
	if ((ret = args_option(a, "-key", &key, e)) < 0)
		return ret;
	if (ret) {
		struct expr_env env = session_expr(a->call->s);
		uint64_t x;
		if ((ret = expr_eval(&env, key, &x, e)))
			return ret;
		op->flags |= MEMOP_SKEY;
		op->key = x > 255 ? 255 : (uint8_t)x; /* memop_run() refuses what is over 15 */
	}
	return args_addr(a, "address", &op->gva, e);
}

static int run_memop(struct call *c, const struct memop *op, struct err *e)
{
	struct memop_result r;
	int ret = machine_memop(c->s->d.m, c->s->vcpu, op, &r, e);

	if (!ret)
		c->result = record_memop(c->pool, op, &r);
	return ret;
}

static int memop_read(struct call *c, struct err *e)
{
	_cleanup_free_ void *buf = NULL;
	struct memop op = {0};
	uint64_t len;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = common_args(&a, &op, false, e)) || (ret = args_number(&a, "length", 0, UINT32_MAX, &len, e)) ||
	    (ret = args_end(&a, e)))
		return ret;
	op.size = (uint32_t)len;
	if (len && len <= MEMOP_MAX_SIZE) {
		buf = malloc(len);
		if (!buf)
			return err_nomem(e, "memop read");
	}
	op.buf = buf;
	return run_memop(c, &op, e);
}

static int memop_write(struct call *c, struct err *e)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct memop op = {0};
	size_t len;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = common_args(&a, &op, true, e)) || (ret = args_hex(&a, "HEX", &bytes, &len, e)) ||
	    (ret = args_end(&a, e)))
		return ret;
	op.size = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len;
	op.buf = bytes;
	return run_memop(c, &op, e);
}

static int memop_key(struct call *c, struct err *e)
{
	struct storage_keys *keys = machine_keys(c->s->d.m);
	uint64_t gpa, key;
	struct args a;
	int ret = args_init(&a, c, e);
	bool fetch = !ret && args_flag(&a, "-fetch");

	if (ret || (ret = args_addr(&a, "GPA", &gpa, e)))
		return ret;
	bool set = args_more(&a);
	if ((set && (ret = args_number(&a, "KEY", 0, 15, &key, e))) || (ret = args_end(&a, e)))
		return ret;
	if (fetch && !set)
		return err_set(e, -EINVAL,
			       "memop key %#llx -fetch" WHY "it protects a frame whose key is being set" TRY
			       "memop key %#llx KEY -fetch",
			       (unsigned long long)gpa, (unsigned long long)gpa);
	if (!slot_lookup(machine_slots(c->s->d.m), gpa, false, NULL))
		return err_set(e, -EFAULT, "memop key %#llx" WHY "there is no memory" TRY "info slots",
			       (unsigned long long)gpa);
	if (set && (ret = storage_key_set(keys, gpa, (uint8_t)(key << 4 | (fetch ? 8 : 0)), e)))
		return ret;
	c->result = record_storage_key(c->pool, gpa, storage_key_get(keys, gpa));
	return 0;
}

const struct command commands_memop[] = {
    {.name = "memop key",
     .group = "memory-map",
     .usage = "GPA [KEY] [-fetch]",
     .summary = "a frame's storage key",
     .help =
	 "The key, 0 to 15, of the 4 KiB frame at a guest physical address: gpa, key, fetch. With KEY it is set. An access "
	 "by memop with another -key may then not write there, and with -fetch not read either; key 0 may do anything. Keys "
	 "are kept beside the slots and mean nothing to the guest.",
     .flags = CMD_NEEDS_VM | CMD_NEEDS_STOPPED,
     .complete = COMPLETE_ADDRESS,
     .words = "-fetch",
     .run = memop_key},
    {.name = "memop read",
     .group = "memory-map",
     .usage = "GVA LEN [-phys] [-check] [-inject] [-key K]",
     .summary = "read guest memory under the walk lock",
     .help = "status 0 with data, or the vector of the exception that the guest would get, with error_code and address. LEN "
	     "is 1 "
	     "to 65536.\n\n-phys: GVA is a guest physical address. -check: only whether it would work. -inject: queue the "
	     "exception "
	     "in the guest too. -key: the access's storage key, 0 to 15.",
     .flags = CMD_NEEDS_VM | CMD_NEEDS_STOPPED,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys -check -inject -key",
     .view = "memop",
     .run = memop_read},
    {.name = "memop write",
     .group = "memory-map",
     .usage = "GVA HEX [-phys] [-check] [-inject] [-key K]",
     .summary = "write guest memory under the walk lock",
     .help = "As memop read. All pages are translated before a byte moves: an access that faults has changed nothing.\n\n"
	     "    memop write 0x240000 0102030405060708",
     .flags = CMD_NEEDS_VM | CMD_NEEDS_STOPPED,
     .needs = NEEDS(WRITE),
     .complete = COMPLETE_ADDRESS,
     .words = "-phys -check -inject -key",
     .view = "memop",
     .run = memop_write},
    {0},
};
