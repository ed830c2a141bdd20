// SPDX-License-Identifier: GPL-2.0-only
/* The guest's time stamp counter, and how the vCPUs of a VM agree on it. */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "vcpu.h"

/* Parts in a million that a frequency may be off and still count as the host's. */
#define TOLERANCE_PPM	250

u64 slat_tsc_get(struct slat_vcpu *vcpu)
{
	return rdtsc() + slat_hw->get_tsc_offset(vcpu);
}

/* Within a second of what the last value has become by now? */
static bool continues(const struct slat_tsc *tsc, u64 value, u64 now)
{
	const u64 hz = tsc_khz * 1000ULL;
	const u64 cycles = mul_u64_u64_div_u64(now - tsc->ns, tsc_khz, NSEC_PER_MSEC);
	const u64 expected = tsc->written + cycles;

	return value < expected + hz && value + hz > expected;
}

void slat_tsc_sync(struct slat_vcpu *vcpu, u64 value)
{
	struct slat_tsc *tsc = &vcpu->vm->tsc;
	const u64 now = ktime_get_boottime_ns();
	u64 offset = value - rdtsc();

	slat_spin_lock(&tsc->lock);
	if (tsc->ns && (!value || continues(tsc, value, now)))
		offset = tsc->offset;
	tsc->offset = offset;
	tsc->written = value;
	tsc->ns = now;
	slat_spin_unlock(&tsc->lock);
	slat_hw->set_tsc_offset(vcpu, offset);
}

void slat_tsc_set_offset(struct slat_vcpu *vcpu, u64 offset)
{
	struct slat_tsc *tsc = &vcpu->vm->tsc;

	slat_spin_lock(&tsc->lock);
	tsc->offset = offset;
	tsc->written = rdtsc() + offset;
	tsc->ns = ktime_get_boottime_ns();
	slat_spin_unlock(&tsc->lock);
	slat_hw->set_tsc_offset(vcpu, offset);
}

bool slat_tsc_khz_valid(u32 khz)
{
	const u32 slack = div_u64((u64)tsc_khz * TOLERANCE_PPM, 1000000);

	return khz >= tsc_khz - slack && khz <= tsc_khz + slack;
}
