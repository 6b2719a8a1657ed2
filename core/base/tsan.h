/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the kernel orders and ThreadSanitizer cannot see: what came before TSAN_RELEASE(at) in one thread is seen by another
 * behind its TSAN_ACQUIRE(at). Each use says which system calls do that. Nothing in other builds.
 */
#ifndef KVMSCOPE_CORE_TSAN_H
#define KVMSCOPE_CORE_TSAN_H

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KVMSCOPE_TSAN
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define KVMSCOPE_TSAN
#endif

#ifdef KVMSCOPE_TSAN
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define TSAN_ACQUIRE(at) __tsan_acquire((void *)(at))
#define TSAN_RELEASE(at) __tsan_release((void *)(at))
#else
#define TSAN_ACQUIRE(at) ((void)(at))
#define TSAN_RELEASE(at) ((void)(at))
#endif

#endif
