// SPDX-License-Identifier: GPL-2.0-only
/* B7: only who may open the device may use it: root, and a group it gives. */
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "harness.h"

TEST(mode)
{
	struct stat stat_of;

	ASSERT_EQ(0, stat(slat_path(), &stat_of));
	EXPECT_TRUE(S_ISCHR(stat_of.st_mode));
	EXPECT_EQ(0660, stat_of.st_mode & 07777);
	EXPECT_EQ(0, stat_of.st_uid);
}

/* Bit 0: could not open for reading, bit 1: for writing. */
static int open_as_nobody(void)
{
	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		return 100;
	return (open(slat_path(), O_RDONLY) < 0 && errno == EACCES) |
	       (open(slat_path(), O_RDWR) < 0 && errno == EACCES) << 1;
}

TEST(unprivileged_user)
{
	int status;
	pid_t pid;

	if (geteuid())
		SKIP(return, "not root");
	pid = fork();
	if (!pid)
		_exit(open_as_nobody());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(3, WEXITSTATUS(status));
}

SLAT_HARNESS_MAIN
