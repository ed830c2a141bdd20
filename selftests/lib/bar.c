// SPDX-License-Identifier: GPL-2.0-only
/* Getting at the memory of slat_bar.ko. */
#include "bar.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int bar_load(void)
{
	int fd = open(BAR_MODULE, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret == -EEXIST ? 0 : ret;
}

int bar_unload(void)
{
	return syscall(SYS_delete_module, "slat_bar", O_NONBLOCK) ? -errno : 0;
}

int bar_open(void)
{
	int fd = open(BAR_DEVICE, O_RDWR | O_CLOEXEC);

	REQUIRE(fd >= 0, "no " BAR_DEVICE);
	return fd;
}

void *bar_map(int fd, unsigned int area, int prot, int flags)
{
	void *mem = mmap(NULL, BAR_SIZE, prot, flags, fd, area * BAR_SIZE);

	REQUIRE(mem != MAP_FAILED, "cannot map area %u: %s", area, strerror(errno));
	return mem;
}

void *bar_map_shared(int fd, unsigned int area)
{
	return bar_map(fd, area, PROT_READ | PROT_WRITE, MAP_SHARED);
}
