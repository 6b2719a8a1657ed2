/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tcl's own notifier waits on a thread of its own and its channels read again after every signal, so that neither `vwait`
 * nor `gets stdin` could be interrupted. Here the notifier is a poll() that lets signals in, and standard input a channel on
 * top of cli/tcl/input.c.
 */
#include "cli/tcl/tclwait.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <tcl.h>
#include <time.h>

#include "cli/tcl/input.h"
#include "cli/session/interrupt.h"

/* ---- the notifier */

struct watched {
	int fd, mask, ready; /* ready: an event that says so is in Tcl's queue */
	Tcl_FileProc *proc;
	ClientData data;
};

static struct {
	struct watched *v;
	struct pollfd *poll;
	size_t n, cap;
} files;

struct file_event {
	Tcl_Event head;
	int fd;
};

static struct watched *find(int fd)
{
	for (size_t i = 0; i < files.n; i++)
		if (files.v[i].fd == fd)
			return &files.v[i];
	return NULL;
}

static struct watched *add(int fd)
{
	if (files.n == files.cap) {
		files.cap = files.cap ? files.cap * 2 : 8;
		files.v = (void *)ckrealloc((char *)files.v, files.cap * sizeof(*files.v));
		files.poll = (void *)ckrealloc((char *)files.poll, files.cap * sizeof(*files.poll));
	}
	files.v[files.n] = (struct watched){.fd = fd};
	return &files.v[files.n++];
}

static void create_file_handler(int fd, int mask, Tcl_FileProc *proc, ClientData data)
{
	struct watched *w = find(fd);

	if (!w)
		w = add(fd);
	w->mask = mask;
	w->proc = proc;
	w->data = data;
}

static void delete_file_handler(int fd)
{
	struct watched *w = find(fd);

	if (w)
		*w = files.v[--files.n];
}

static int on_file_event(Tcl_Event *event, int flags)
{
	struct watched *w = find(((struct file_event *)event)->fd);
	int mask;

	if (!(flags & TCL_FILE_EVENTS))
		return 0;
	mask = w ? w->ready & w->mask : 0;
	if (w)
		w->ready = 0;
	if (mask)
		w->proc(w->data, mask);
	return 1;
}

static short events_of(int mask)
{
	return (short)((mask & TCL_READABLE ? POLLIN | POLLHUP : 0) | (mask & TCL_WRITABLE ? POLLOUT : 0) |
		       (mask & TCL_EXCEPTION ? POLLPRI : 0));
}

static int mask_of(short events)
{
	return (events & (POLLIN | POLLHUP | POLLERR) ? TCL_READABLE : 0) |
	       (events & (POLLOUT | POLLERR) ? TCL_WRITABLE : 0) | (events & POLLPRI ? TCL_EXCEPTION : 0);
}

static void queue_ready(struct watched *w, int mask)
{
	struct file_event *event;

	if (mask && !w->ready) {
		event = (void *)ckalloc(sizeof(*event));
		*event = (struct file_event){.head.proc = on_file_event, .fd = w->fd};
		Tcl_QueueEvent(&event->head, TCL_QUEUE_TAIL);
	}
	w->ready |= mask;
}

/* 1 after a signal, so that Tcl looks around; else 0. */
static int wait_for_event(const Tcl_Time *most)
{
	struct timespec t = {0};
	int n;

	if (most)
		t = (struct timespec){.tv_sec = most->sec, .tv_nsec = most->usec * 1000};
	for (size_t i = 0; i < files.n; i++)
		files.poll[i] = (struct pollfd){.fd = files.v[i].fd, .events = events_of(files.v[i].mask)};
	n = interrupt_wait(files.poll, files.n, most ? &t : NULL);
	for (size_t i = 0; n > 0 && i < files.n; i++)
		queue_ready(&files.v[i], mask_of(files.poll[i].revents) & files.v[i].mask);
	return n < 0;
}

static void set_timer(const Tcl_Time *most)
{
	(void)most; /* for a loop of events that is not Tcl's */
}

static ClientData init_notifier(void)
{
	return NULL;
}

/* Called by Tcl_AsyncMark() in the signal's handler, which has ended the wait already. */
static void alert_notifier(ClientData data)
{
	(void)data;
}

static void finalize_notifier(ClientData data)
{
	(void)data;
}

static void service_mode(int mode)
{
	(void)mode;
}

void tclwait_before_interp(void)
{
	Tcl_NotifierProcs procs = {set_timer,	  wait_for_event,    create_file_handler, delete_file_handler,
				   init_notifier, finalize_notifier, alert_notifier,	  service_mode};

	Tcl_SetNotifier(&procs);
}

/* ---- after MS */

static Tcl_ObjCmdProc *tcl_after;

static int interrupted(Tcl_Interp *interp)
{
	if (Tcl_AsyncReady())
		Tcl_AsyncInvoke(interp, TCL_OK);
	Tcl_SetObjResult(interp, Tcl_NewStringObj("interrupted", -1));
	return TCL_ERROR;
}

/* The form that only waits; with a script, or cancel, it is Tcl's. */
static int on_after(ClientData data, Tcl_Interp *interp, int objc, Tcl_Obj *const objv[])
{
	Tcl_WideInt ms;

	if (objc != 2 || Tcl_GetWideIntFromObj(NULL, objv[1], &ms) != TCL_OK || ms > INT64_MAX / 2000000)
		return tcl_after(data, interp, objc, objv);
	uint64_t end = clock_now_ns() + (uint64_t)(ms > 0 ? ms : 0) * 1000000;
	for (uint64_t now = clock_now_ns(); now < end; now = clock_now_ns()) {
		uint64_t left = end - now;
		struct timespec t = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};
		if (interrupt_wait(NULL, 0, &t) < 0)
			return interrupted(interp);
	}
	return TCL_OK;
}

static void wrap_after(Tcl_Interp *interp)
{
	Tcl_CmdInfo info;

	if (!Tcl_GetCommandInfo(interp, "::after", &info))
		return;
	tcl_after = info.objProc;
	info.objProc = on_after;
	Tcl_SetCommandInfo(interp, "::after", &info);
}

/* ---- standard input */

static struct {
	Tcl_Channel channel;
	Tcl_TimerToken timer; /* it says that there is something buffered */
	bool nonblocking;
} in;

static int in_close(ClientData data, Tcl_Interp *interp)
{
	(void)data, (void)interp;
	Tcl_DeleteFileHandler(STDIN_FILENO);
	Tcl_DeleteTimerHandler(in.timer);
	in.timer = NULL;
	in.channel = NULL;
	return 0;
}

static bool would_wait(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return !input_buffered() && poll(&p, 1, 0) <= 0;
}

static int in_input(ClientData data, char *to, int n, int *error)
{
	ssize_t got = in.nonblocking && would_wait() ? -EAGAIN : input_read(to, (size_t)n);

	(void)data;
	*error = got < 0 ? (int)-got : 0;
	return got < 0 ? -1 : (int)got;
}

static void on_readable(ClientData data, int mask)
{
	(void)data;
	Tcl_NotifyChannel(in.channel, mask);
}

static void on_buffered(ClientData data)
{
	(void)data;
	in.timer = NULL;
	Tcl_NotifyChannel(in.channel, TCL_READABLE);
}

static void in_watch(ClientData data, int mask)
{
	Tcl_DeleteTimerHandler(in.timer);
	in.timer = NULL;
	if (!(mask & TCL_READABLE)) {
		Tcl_DeleteFileHandler(STDIN_FILENO);
		return;
	}
	Tcl_CreateFileHandler(STDIN_FILENO, TCL_READABLE, on_readable, data);
	if (input_buffered())
		in.timer = Tcl_CreateTimerHandler(0, on_buffered, data);
}

static int in_handle(ClientData data, int direction, ClientData *handle)
{
	(void)data;
	*handle = (ClientData)(intptr_t)STDIN_FILENO;
	return direction == TCL_READABLE ? TCL_OK : TCL_ERROR;
}

static int in_block_mode(ClientData data, int mode)
{
	(void)data;
	in.nonblocking = mode == TCL_MODE_NONBLOCKING;
	return 0;
}

static const Tcl_ChannelType in_type = {
    .typeName = "input",
    .version = TCL_CHANNEL_VERSION_5,
    .closeProc = in_close,
    .inputProc = in_input,
    .watchProc = in_watch,
    .getHandleProc = in_handle,
    .blockModeProc = in_block_mode,
};

void tclwait_init(struct Tcl_Interp *interp)
{
	if (!in.channel) {
		in.channel = Tcl_CreateChannel(&in_type, "stdin", NULL, TCL_READABLE);
		Tcl_RegisterChannel(NULL, in.channel); /* it outlives each interpreter */
		Tcl_SetStdChannel(in.channel, TCL_STDIN);
	}
	wrap_after(interp);
}
