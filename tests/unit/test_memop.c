/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * MEMOP: errors in their order, check-only, injection, storage keys, compare-and-exchange, the walk lock around it all.
 */
#include "core/mem/memop.h"
#include "tests/unit/xlate_guest.h"

struct rig {
	struct guest *g;
	struct memop_env env;
	char order[32]; /* L lock, U unlock, I inject, W wrote */
	struct guest_fault injected;
	uint64_t wrote_gpa[4], wrote_len[4];
	unsigned n_wrote;
	int inject_rc;
};

static void note(struct rig *r, char c)
{
	r->order[strlen(r->order)] = c;
}

static void on_lock(void *ctx)
{
	note(ctx, 'L');
}

static void on_unlock(void *ctx)
{
	note(ctx, 'U');
}

static int on_inject(void *ctx, const struct guest_fault *f, struct err *e)
{
	struct rig *r = ctx;

	note(r, 'I');
	r->injected = *f;
	return r->inject_rc ? err_set(e, r->inject_rc, "inject" WHY "busy") : 0;
}

static int on_wrote(void *ctx, uint64_t gpa, uint64_t len, struct err *e)
{
	struct rig *r = ctx;

	(void)e;
	note(r, 'W');
	r->wrote_gpa[r->n_wrote] = gpa;
	r->wrote_len[r->n_wrote++] = len;
	return 0;
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->g = new_guest();
	r->env.x = r->g->env;
	r->env.x.mem.ctx = &r->env.x; /* an environment points to itself */
	r->env.keys = storage_keys_create();
	r->env.ctx = r;
	r->env.lock = on_lock;
	r->env.unlock = on_unlock;
	r->env.inject = on_inject;
	r->env.wrote = on_wrote;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	storage_keys_destroy(r->env.keys);
	end_guest(r->g);
	free(r);
	return 0;
}

static int run(struct rig *r, const struct memop *op, unsigned cpl, struct memop_result *out)
{
	struct err e = {0};
	int rc;

	memset(r->order, 0, sizeof(r->order));
	r->n_wrote = 0;
	memset(out, 0xa5, sizeof(*out));
	rc = memop_run(&r->env, op, cpl, out, &e);
	if (rc) {
		assert_int_equal(e.code, rc);
		assert_int_equal(((uint8_t *)out)[0], 0xa5); /* untouched */
	}
	return rc;
}

/* Everything that can be wrong at once, taken away one by one: each time the next error in KVM's order answers. */
static void test_order_of_errors(void **state)
{
	struct rig *r = *state;
	struct memop_result out;
	struct memop op = {
	    .op = 99, .flags = 0x80 | MEMOP_SKEY, .gva = 0x900000, .size = 70000, .key = 16, .access_register = 16};

	assert_int_equal(run(r, &op, 3, &out), -EINVAL); /* operation */
	op.op = MEMOP_SIDA_READ;
	assert_int_equal(run(r, &op, 3, &out), -EINVAL);
	op.op = MEMOP_LOGICAL_WRITE;
	assert_int_equal(run(r, &op, 3, &out), -EINVAL); /* flags, before size */
	op.flags = MEMOP_SKEY;
	assert_int_equal(run(r, &op, 3, &out), -E2BIG); /* size, before key */
	op.size = 0;
	assert_int_equal(run(r, &op, 3, &out), -EINVAL);
	op.size = 65536;
	assert_int_equal(run(r, &op, 3, &out), -EINVAL); /* key */
	op.key = 15;
	assert_int_equal(run(r, &op, 3, &out), -EINVAL); /* access register */
	op.access_register = 15;
	assert_int_equal(run(r, &op, 3, &out), -EFAULT); /* no buffer: for a write before the guest's fault */
	assert_string_equal(r->order, "");
	op.op = MEMOP_LOGICAL_READ;
	assert_int_equal(run(r, &op, 3, &out), 0); /* for a read after it */
	assert_int_equal(out.status, 14);
	assert_string_equal(r->order, "LU");
	op.gva = GVA(0);
	op.size = 8;
	assert_int_equal(run(r, &op, 3, &out), -EFAULT);
	assert_string_equal(r->order, "LU"); /* the lock is given back */
}

static void test_flags_of_each_operation(void **state)
{
	static const struct {
		enum memop_kind op;
		uint32_t allowed;
	} all[] = {
	    {MEMOP_LOGICAL_READ, 7},  {MEMOP_LOGICAL_WRITE, 7},	 {MEMOP_SIDA_READ, 0},	      {MEMOP_SIDA_WRITE, 0},
	    {MEMOP_ABSOLUTE_READ, 5}, {MEMOP_ABSOLUTE_WRITE, 5}, {MEMOP_ABSOLUTE_CMPXCHG, 4},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		for (uint32_t flags = 0; flags < 16; flags++) {
			uint64_t buf = 0, old = 0;
			struct memop op = {
			    .op = all[i].op, .flags = flags, .gva = 0x8000, .size = 8, .buf = &buf, .old = &old};
			struct memop_result out;
			bool sida = all[i].op == MEMOP_SIDA_READ || all[i].op == MEMOP_SIDA_WRITE;
			bool ok = !sida && !(flags & ~all[i].allowed);

			assert_int_equal(run(r, &op, 0, &out), ok ? 0 : -EINVAL);
		}
}

static void test_a_key_without_its_flag_is_not_looked_at(void **state)
{
	struct rig *r = *state;
	uint64_t buf = 0;
	struct memop op = {.op = MEMOP_ABSOLUTE_READ, .gva = 0x8000, .size = 8, .buf = &buf, .key = 77};
	struct memop_result out;

	assert_int_equal(run(r, &op, 0, &out), 0);
}

static void test_read_and_write(void **state)
{
	struct rig *r = *state;
	uint8_t in[0x1800], back[0x1800];
	struct memop op = {.op = MEMOP_LOGICAL_WRITE, .gva = GVA(0) + 0x400, .size = sizeof(in), .buf = in};
	struct memop_result out;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 31);
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_int_equal(out.status, 0);
	assert_false(out.fault.present);
	assert_string_equal(r->order, "LWU");
	assert_int_equal(r->wrote_gpa[0], 0x8400); /* one run, since the pages follow each other */
	assert_int_equal(r->wrote_len[0], 0x1800);
	assert_memory_equal(ram(r->g, 0x8400), in, sizeof(in));
	assert_true(is_dirty(r->g, 0x8000) && is_dirty(r->g, 0x9000) && !is_dirty(r->g, 0xa000));
	assert_int_equal(at8(r->g, 0x4000) & (PTE_A | PTE_D), 0);
	op.op = MEMOP_LOGICAL_READ;
	op.buf = back;
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_memory_equal(back, in, sizeof(in));
	assert_string_equal(r->order, "LU");
	op.op = MEMOP_ABSOLUTE_READ;
	op.gva = 0x8400;
	memset(back, 0, sizeof(back));
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_memory_equal(back, in, sizeof(in));
}

static void test_writes_in_two_runs(void **state)
{
	struct rig *r = *state;
	uint8_t in[16] = {1};
	struct memop op = {.op = MEMOP_LOGICAL_WRITE, .gva = GVA(0) + 0xff8, .size = 16, .buf = in};
	struct memop_result out;

	map(r->g, 1, 0xc000 | PTE_P | PTE_W);
	assert_int_equal(run(r, &op, 0, &out), 0);
	assert_int_equal(r->n_wrote, 2);
	assert_int_equal(r->wrote_gpa[1], 0xc000);
	assert_int_equal(r->wrote_len[1], 8);
}

static void test_the_largest(void **state)
{
	struct rig *r = *state;
	uint8_t *buf = malloc(MEMOP_MAX_SIZE);
	struct memop op = {.op = MEMOP_LOGICAL_READ, .gva = GVA(0) + 0x800, .size = MEMOP_MAX_SIZE, .buf = buf};
	struct memop_result out;

	for (unsigned i = 0; i < 17; i++) /* 17 pages, since it does not begin at one */
		map(r->g, i, 0x8000 | PTE_P | PTE_W | PTE_U);
	memset(ram(r->g, 0x8000), 0x3c, 0x1000);
	assert_int_equal(run(r, &op, 3, &out), 0);
	for (unsigned i = 0; i < MEMOP_MAX_SIZE; i++)
		assert_int_equal(buf[i], 0x3c);
	map(r->g, 16, 0); /* the last of them */
	memset(buf, 0, MEMOP_MAX_SIZE);
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_int_equal(out.status, 14);
	assert_int_equal(out.fault.address, GVA(16));
	assert_int_equal(buf[0], 0); /* nothing came */
	free(buf);
}

static void test_a_fault_changes_nothing(void **state)
{
	struct rig *r = *state;
	uint8_t in[0x1800];
	struct memop op = {.op = MEMOP_LOGICAL_WRITE, .gva = GVA(0) + 0x800, .size = sizeof(in), .buf = in};
	struct memop_result out;

	memset(in, 0x77, sizeof(in));
	map(r->g, 1, 0x9000 | PTE_P | PTE_U);
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_int_equal(out.status, 14);
	assert_int_equal(out.fault.error_code, PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
	assert_int_equal(out.fault.address, GVA(1));
	assert_false(out.protection);
	assert_int_equal(at8(r->g, 0x8800), 0);
	assert_false(is_dirty(r->g, 0x8000));
	assert_string_equal(r->order, "LU");
	/* As the privilege is: CPL 0 without CR0.WP may. */
	r->env.x.pg.cr0 &= ~CR0_WP;
	assert_int_equal(run(r, &op, 0, &out), 0);
	assert_int_equal(out.status, 0);
	op.gva = 0x800000000000;
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_int_equal(out.status, 13); /* not canonical */
}

static void test_check_only(void **state)
{
	struct rig *r = *state;
	struct memop op = {.op = MEMOP_LOGICAL_WRITE, .flags = MEMOP_CHECK_ONLY, .gva = GVA(0), .size = 0x2000};
	struct memop_result out;

	assert_int_equal(run(r, &op, 3, &out), 0); /* without a buffer */
	assert_int_equal(out.status, 0);
	assert_string_equal(r->order, "LU");
	assert_false(is_dirty(r->g, 0x8000));
	op.buf = &op; /* or with one, which it leaves alone */
	op.size = sizeof(op);
	struct memop before = op;
	op.op = before.op = MEMOP_LOGICAL_READ;
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_memory_equal(&op, &before, sizeof(op));
	op.gva = GVA(9);
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_int_equal(out.status, 14);
	op.op = MEMOP_ABSOLUTE_WRITE;
	op.gva = 0x50000;
	assert_int_equal(run(r, &op, 3, &out), -EFAULT);
}

static void test_inject(void **state)
{
	struct rig *r = *state;
	uint64_t buf = 0;
	struct memop op = {.op = MEMOP_LOGICAL_READ, .flags = MEMOP_INJECT, .gva = GVA(9), .size = 8, .buf = &buf};
	struct memop_result out;

	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_int_equal(out.status, 14); /* queued, and returned all the same */
	assert_string_equal(r->order, "LUI");
	assert_int_equal(r->injected.vector, 14);
	assert_int_equal(r->injected.error_code, PFERR_USER);
	assert_int_equal(r->injected.address, GVA(9));
	op.gva = GVA(0);
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_string_equal(r->order, "LU"); /* no fault, nothing to inject */
	op.gva = GVA(9);
	op.flags |= MEMOP_CHECK_ONLY;
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_string_equal(r->order, "LUI");
	r->inject_rc = -EBUSY;
	assert_int_equal(run(r, &op, 3, &out), -EBUSY);
}

static void test_not_memory(void **state)
{
	struct rig *r = *state;
	uint64_t buf = 5;
	struct memop op = {.op = MEMOP_ABSOLUTE_READ, .gva = 0x50000, .size = 8, .buf = &buf};
	struct memop_result out;

	assert_int_equal(run(r, &op, 0, &out), -EFAULT); /* hole */
	op.gva = 0xd0000000;
	assert_int_equal(run(r, &op, 0, &out), -EFAULT); /* device */
	op.gva = 0xfffc;
	assert_int_equal(run(r, &op, 0, &out), 0); /* RAM, then ROM: both can be read */
	op.op = MEMOP_ABSOLUTE_WRITE;
	buf = ~0ull;
	assert_int_equal(run(r, &op, 0, &out), -EFAULT); /* but not written, neither of them */
	assert_int_equal(at8(r->g, 0xfff8), 0);
	op.gva = ~0ull - 3;
	assert_int_equal(run(r, &op, 0, &out), -EINVAL);
	assert_int_equal(r->g->n_exits, 0);
	/* SMRAM: memory from inside only. */
	op.gva = 0xa0000;
	assert_int_equal(run(r, &op, 0, &out), -EFAULT);
	r->env.x.smm = true;
	assert_int_equal(run(r, &op, 0, &out), 0);
}

static void key_case(struct rig *r, uint8_t stored, uint8_t key, bool read_ok, bool write_ok)
{
	uint64_t buf = 0;
	struct memop op = {.op = MEMOP_LOGICAL_READ, .flags = MEMOP_SKEY, .gva = GVA(0), .size = 8, .buf = &buf, .key = key};
	struct memop_result out;
	struct err e;

	assert_int_equal(storage_key_set(r->env.keys, 0x8000, stored, &e), 0);
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_int_equal(out.protection, !read_ok);
	assert_int_equal(out.status, read_ok ? 0 : 14);
	if (!read_ok)
		assert_int_equal(out.fault.error_code, PFERR_PRESENT | PFERR_PK | PFERR_USER);
	op.op = MEMOP_LOGICAL_WRITE;
	assert_int_equal(run(r, &op, 3, &out), 0);
	assert_int_equal(out.protection, !write_ok);
	if (!write_ok)
		assert_int_equal(out.fault.error_code, PFERR_PRESENT | PFERR_PK | PFERR_USER | PFERR_WRITE);
}

static void test_storage_keys(void **state)
{
	struct rig *r = *state;

	key_case(r, 0x30, 0, true, true); /* key 0 matches all */
	key_case(r, 0x38, 0, true, true);
	key_case(r, 0x30, 3, true, true);
	key_case(r, 0x38, 3, true, true);
	key_case(r, 0x30, 4, true, false); /* without fetch protection anybody reads */
	key_case(r, 0x38, 4, false, false);
	key_case(r, 0x00, 4, true, false);
	key_case(r, 0xf8, 15, true, true);
}

static void test_a_key_on_the_second_page(void **state)
{
	struct rig *r = *state;
	uint8_t in[16];
	struct memop op = {.op = MEMOP_ABSOLUTE_WRITE, .flags = MEMOP_SKEY, .gva = 0x8ff8, .size = 16, .buf = in, .key = 2};
	struct memop_result out;
	struct err e;

	memset(in, 0x11, sizeof(in));
	assert_int_equal(storage_key_set(r->env.keys, 0x8000, 0x20, &e), 0);
	assert_int_equal(storage_key_set(r->env.keys, 0x9000, 0x50, &e), 0);
	assert_int_equal(run(r, &op, 0, &out), 0);
	assert_true(out.protection);
	assert_int_equal(out.fault.address, 0x9000);
	assert_int_equal(at8(r->g, 0x8ff8), 0); /* nothing was written */
	op.flags = 0;
	assert_int_equal(run(r, &op, 0, &out), 0);
	assert_false(out.protection);
}

static void test_key_store(void **state)
{
	struct rig *r = *state;
	struct storage_keys *k = r->env.keys;
	struct err e;

	assert_int_equal(storage_key_get(k, 0), 0);
	for (uint64_t i = 0; i < 3000; i++) { /* scattered, and out of order */
		uint64_t gfn = i * 7919 % 3001 * 100;

		assert_int_equal(storage_key_set(k, gfn << 12, (uint8_t)(i << 4), &e), 0);
	}
	for (uint64_t i = 0; i < 3000; i++) {
		uint64_t gfn = i * 7919 % 3001 * 100;

		assert_int_equal(storage_key_get(k, (gfn << 12) + 0xfff), (uint8_t)(i << 4));
		assert_int_equal(storage_key_get(k, (gfn + 1) << 12), 0);
	}
	assert_int_equal(storage_key_set(k, 0x1000, 0x31, &e), -EINVAL);
	assert_int_equal(storage_key_set(k, 1ull << 51, 0xf8, &e), 0);
	assert_int_equal(storage_key_get(k, 1ull << 51), 0xf8);
}

static void test_cmpxchg(void **state)
{
	struct rig *r = *state;

	for (unsigned size = 1; size <= 16; size *= 2) {
		uint8_t old[16], buf[16], before[16];
		struct memop op = {.op = MEMOP_ABSOLUTE_CMPXCHG, .gva = 0x8010, .size = size, .buf = buf, .old = old};
		struct memop_result out;

		memset(ram(r->g, 0x8000), 0x22, 0x40);
		memset(old, 0x33, 16);
		memset(buf, 0x44, 16);
		assert_int_equal(run(r, &op, 0, &out), 0);
		assert_false(out.exchanged);
		assert_string_equal(r->order, "LU");
		memset(before, 0x22, 16);
		assert_memory_equal(buf, before, size); /* what was found */
		assert_int_equal(*ram(r->g, 0x8010), 0x22);
		memset(old, 0x22, 16);
		memset(buf, 0x44, 16);
		assert_int_equal(run(r, &op, 0, &out), 0);
		assert_true(out.exchanged);
		assert_string_equal(r->order, "LWU");
		assert_memory_equal(buf, before, size);
		assert_int_equal(*ram(r->g, 0x8010), 0x44);
		assert_int_equal(*ram(r->g, 0x8010 + size - 1), 0x44);
		assert_int_equal(*ram(r->g, 0x8010 + size), 0x22);
		assert_int_equal(*ram(r->g, 0x800f), 0x22);
	}
	assert_true(is_dirty(r->g, 0x8000));
}

static void test_cmpxchg_refused(void **state)
{
	struct rig *r = *state;
	uint8_t old[32] = {0}, buf[32] = {0};
	struct memop op = {.op = MEMOP_ABSOLUTE_CMPXCHG, .gva = 0x8000, .size = 3, .buf = buf, .old = old};
	struct memop_result out;

	assert_int_equal(run(r, &op, 0, &out), -EINVAL);
	op.size = 32;
	assert_int_equal(run(r, &op, 0, &out), -EINVAL);
	op.size = 8;
	op.gva = 0x8004;
	assert_int_equal(run(r, &op, 0, &out), -EINVAL);
	op.gva = 0x8000;
	op.old = NULL;
	assert_int_equal(run(r, &op, 0, &out), -EFAULT);
	op.old = old;
	op.buf = NULL;
	assert_int_equal(run(r, &op, 0, &out), -EFAULT);
	op.buf = buf;
	op.gva = 0x10000;
	assert_int_equal(run(r, &op, 0, &out), -EFAULT); /* READONLY */
	op.gva = 0x8000;
	op.key = 4;
	op.flags = MEMOP_SKEY;
	assert_int_equal(run(r, &op, 0, &out), 0);
	assert_true(out.protection && !out.exchanged);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_order_of_errors),
	    T(test_flags_of_each_operation),
	    T(test_a_key_without_its_flag_is_not_looked_at),
	    T(test_read_and_write),
	    T(test_writes_in_two_runs),
	    T(test_the_largest),
	    T(test_a_fault_changes_nothing),
	    T(test_check_only),
	    T(test_inject),
	    T(test_not_memory),
	    T(test_storage_keys),
	    T(test_a_key_on_the_second_page),
	    T(test_key_store),
	    T(test_cmpxchg),
	    T(test_cmpxchg_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
