// SPDX-License-Identifier: GPL-2.0-only
/*
 * B5: on a CPU without the virtualization that slat needs the module does not
 * load, and says why.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "harness.h"

#define MODULE	"/lib/slat/slat.ko"

static bool cpu_has_svm(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && ecx & 4;
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

	if (cpu_has_svm())
		SKIP(return, "this CPU has SVM");
	fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no " MODULE);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, kmsg);
	ASSERT_LE(0, lseek(kmsg, 0, SEEK_END));
	EXPECT_EQ(-1, syscall(SYS_finit_module, fd, "", 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_TRUE(log_says(kmsg, "SVM"));
	EXPECT_EQ(-ENOENT, slat_try_open());
	close(fd);
}

TEST_HARNESS_MAIN
