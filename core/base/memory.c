/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Free memory. Sources: proc(5), MemAvailable; Linux Documentation/admin-guide/cgroup-v2.rst, memory.max and memory.current;
 * Documentation/admin-guide/mm/hugetlbpage.rst, free_hugepages.
 */
#include "core/base/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static uint64_t of_host(const char *path)
{
	unsigned long long kb = 0;
	char line[128];
	FILE *f = fopen(path, "re");

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
			break;
	fclose(f);
	return kb ? kb << 10 : UINT64_MAX;
}

/* UINT64_MAX for "max", or a file that is not there. */
static uint64_t number_in(const char *group, const char *name)
{
	unsigned long long v = UINT64_MAX;
	char path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%.500s/%s", group, name);
	f = fopen(path, "re");
	if (!f)
		return UINT64_MAX;
	if (fscanf(f, "%llu", &v) != 1)
		v = UINT64_MAX;
	fclose(f);
	return v;
}

static uint64_t of_group(const char *group)
{
	uint64_t most = *group ? number_in(group, "memory.max") : UINT64_MAX, used;

	if (most == UINT64_MAX)
		return UINT64_MAX;
	used = number_in(group, "memory.current");
	return used < most ? most - used : 0;
}

uint64_t memory_available_by(const char *meminfo, const char *group)
{
	uint64_t host = of_host(meminfo), own = of_group(group);

	return own < host ? own : host;
}

uint64_t memory_available(void)
{
	char line[400] = "", group[500] = "";
	FILE *f = fopen("/proc/self/cgroup", "re");

	/* "0::/a/b" is version 2's. */
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::/", 4)) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(group, sizeof(group), "/sys/fs/cgroup%s", line + 3);
		}
	if (f)
		fclose(f);
	return memory_available_by("/proc/meminfo", group);
}

uint64_t memory_in_pools_by(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *entry;
	unsigned long long kb;
	uint64_t bytes = 0;
	char path[600];

	while (d && (entry = readdir(d)) != NULL) {
		if (sscanf(entry->d_name, "hugepages-%llukB", &kb) != 1)
			continue;
		snprintf(path, sizeof(path), "%.200s/%.255s", folder, entry->d_name);
		uint64_t n = number_in(path, "free_hugepages");
		bytes += n == UINT64_MAX ? 0 : n * (kb << 10);
	}
	if (d)
		closedir(d);
	return bytes;
}

const char *memory_pools_words(char *buf, size_t size)
{
	uint64_t bytes = memory_in_pools_by("/sys/kernel/mm/hugepages");

	buf[0] = '\0';
	if (bytes)
		snprintf(buf, size, " (%llu MiB more in hugetlb pools, which slots are not made of)",
			 (unsigned long long)bytes >> 20);
	return buf;
}
