// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps the scheduler's calls of preempt notifiers compiled in as long as it is loaded.
 * VMs that come and go would patch them in and out, and an emulator whose CPUs run at the
 * same time may execute code that has just been patched as it was in between.
 */
#include <linux/module.h>
#include <linux/preempt.h>

static int __init calm_init(void)
{
	preempt_notifier_inc();
	return 0;
}

static void __exit calm_exit(void)
{
	preempt_notifier_dec();
}

module_init(calm_init);
module_exit(calm_exit);
MODULE_DESCRIPTION("No code is patched by slat's tests");
MODULE_LICENSE("GPL");
