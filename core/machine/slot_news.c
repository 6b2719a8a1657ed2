/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `catch slot`: what happened to slots since the guest last ran, kept until a stop has told of it. The debugger's own
 * changes are told before the guest runs on; what a guest brings about itself (entering or leaving SMM shows and hides
 * slots) as soon as it stands.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/machine/machine_impl.h"

static struct slot_news *news_of(struct machine *m, uint32_t id)
{
	for (unsigned i = 0; i < m->n_news; i++)
		if (m->news[i].id == id)
			return &m->news[i];
	return m->n_news < SLOT_NEWS_MAX ? &m->news[m->n_news++] : NULL;
}

void machine_slot_note(struct machine *m, uint32_t id, const char *fmt, ...)
{
	struct slot_news *n = m->catches & CATCH_SLOT ? news_of(m, id) : NULL;
	char text[sizeof(n->text)];
	va_list ap;

	if (!n)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n->times && strlen(n->text) + strlen(text) + 6 < sizeof(n->text)) {
		strcat(n->text, ", then ");
		strncat(n->text, text, sizeof(n->text) - strlen(n->text) - 1);
	} else {
		memcpy(n->text, text, sizeof(text));
	}
	n->id = id;
	n->times++;
}

void machine_slot_note_smm(struct machine *m, bool in)
{
	for (size_t i = 0; i < m->slots.n; i++) {
		const struct slot *s = m->slots.by_id[i];
		if (s->own || s->vis == SLOT_VIS_BOTH)
			continue;
		bool shown = in == (s->vis == SLOT_VIS_SMM);
		machine_slot_note(m, s->id, "became %s, because %s", shown ? "visible" : "hidden",
				  in ? "an SMI led into SMM" : "RSM led out of SMM");
	}
}

bool machine_slot_stop(struct machine *m, unsigned vcpu, uint64_t rip, struct stop *out)
{
	if (!m->n_news)
		return false;
	const struct slot_news n = m->news[0];
	m->n_news--;
	memmove(m->news, m->news + 1, m->n_news * sizeof(m->news[0]));
	memset(&m->news[m->n_news], 0, sizeof(m->news[0]));
	*out = (struct stop){.reason = STOP_SLOT, .vcpu = vcpu, .rip = rip, .slot = (int)n.id};
	memcpy(out->note, n.text, sizeof(n.text) < sizeof(out->note) ? sizeof(n.text) : sizeof(out->note));
	out->note[sizeof(out->note) - 1] = 0;
	return true;
}

void machine_slot_forget_news(struct machine *m)
{
	memset(m->news, 0, sizeof(m->news));
	m->n_news = 0;
}
