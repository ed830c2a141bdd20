// SPDX-License-Identifier: GPL-2.0-only
/*
 * B5: on a CPU without the virtualization that slat needs the module does not
 * load, and says why.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "harness.h"

#define MODULE	"/lib/slat/slat.ko"

/* Of SVM or of VT-x; the kernel names no nested paging without these. */
static bool cpu_has_nested_paging(void)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	bool found = false;
	char word[64];

	while (file && !found && fscanf(file, "%63s", word) == 1)
		found = !strcmp(word, "npt") || !strcmp(word, "ept");
	if (file)
		fclose(file);
	return found;
}

static bool log_says(int kmsg, const char *what)
{
	char record[1024];
	ssize_t len;

	while ((len = read(kmsg, record, sizeof(record) - 1)) > 0) {
		record[len] = 0;
		if (strstr(record, "slat: ") && strstr(record, what))
			return true;
	}
	return false;
}

TEST(refused)
{
	int fd, kmsg;

	if (cpu_has_nested_paging())
		SKIP(return, "this CPU has nested paging");
	fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no " MODULE);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, kmsg);
	ASSERT_LE(0, lseek(kmsg, 0, SEEK_END));
	EXPECT_EQ(-1, syscall(SYS_finit_module, fd, "", 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_TRUE(log_says(kmsg, "this machine lacks "));
	EXPECT_EQ(-ENOENT, slat_try_open());
	close(fd);
}

TEST_HARNESS_MAIN
