// SPDX-License-Identifier: GPL-2.0-only
/* The guest's machine checks: its registers, and errors that the VMM injects. */
#include <linux/nospec.h>
#include <asm/mce.h>
#include <asm/traps.h>

#include "vcpu.h"

/* Of a bank */
enum { CTL, STATUS, ADDR, MISC };

u64 slat_mce_cap_supported(void)
{
	return MCG_CTL_P | MCG_SER_P;
}

int slat_mce_setup(struct slat_vcpu *vcpu, u64 cap)
{
	struct slat_mce *mce = &vcpu->msrs.mce;
	const unsigned int banks = cap & 0xff;
	unsigned int i;

	if (!banks || banks > SLAT_MCE_BANKS)
		return -EINVAL;
	/* The count of extended registers, too, is the VMM's to say: KVM's rule. */
	if (cap & ~(slat_mce_cap_supported() | 0xff | 0xff0000))
		return -EINVAL;
	mce->cap = cap;
	if (cap & MCG_CTL_P)
		mce->ctl = ~0ULL;
	for (i = 0; i < banks; i++)
		mce->banks[4 * i + CTL] = ~0ULL;
	return 0;
}

/* The register of a bank that the guest has, or NULL. */
static u64 *bank_register(struct slat_mce *mce, u32 index)
{
	const u32 end = 4 * (mce->cap & 0xff);
	const u32 nr = index - MSR_IA32_MC0_CTL;

	return nr < end ? &mce->banks[array_index_nospec(nr, end)] : NULL;
}

/* Interrupts for corrected errors are not there: only the VMM may see that, as 0. */
static bool is_ctl2(const struct slat_mce *mce, u32 index, bool guest)
{
	return !guest && index - MSR_IA32_MC0_CTL2 < (mce->cap & 0xff);
}

int slat_mce_get(struct slat_vcpu *vcpu, u32 index, u64 *value, bool guest)
{
	struct slat_mce *mce = &vcpu->msrs.mce;
	const u64 *from = bank_register(mce, index);

	*value = 0;
	if (from)
		*value = *from;
	else if (index == MSR_IA32_MCG_CAP)
		*value = mce->cap;
	else if (index == MSR_IA32_MCG_STATUS)
		*value = mce->status;
	else if (index == MSR_IA32_MCG_CTL && (!guest || (mce->cap & MCG_CTL_P)))
		*value = mce->ctl;
	else if (!is_ctl2(mce, index, guest))
		return -EINVAL;
	return 0;
}

static int set_bank(struct slat_vcpu *vcpu, u32 index, u64 *to, u64 value, bool guest)
{
	/* Linux clears bit 10 on old AMD CPUs, others bit 0; else all or nothing. */
	if ((index & 3) == CTL && value && (value | BIT(10) | BIT(0)) != ~0ULL)
		return -EINVAL;
	if ((index & 3) == STATUS && guest && value &&
	    !(vcpu->msrs.hwcr & SLAT_HWCR_MC_STATUS_WRITABLE))
		return -EINVAL;
	*to = value;
	return 0;
}

static int set_ctl(struct slat_mce *mce, u64 value, bool guest)
{
	if (!(mce->cap & MCG_CTL_P) && (guest || value))
		return -EINVAL;
	if (value && value != ~0ULL)
		return -EINVAL;
	mce->ctl = value;
	return 0;
}

int slat_mce_set(struct slat_vcpu *vcpu, u32 index, u64 value, bool guest)
{
	struct slat_mce *mce = &vcpu->msrs.mce;
	u64 *to = bank_register(mce, index);

	if (to)
		return set_bank(vcpu, index, to, value, guest);
	if (index == MSR_IA32_MCG_CTL)
		return set_ctl(mce, value, guest);
	if (index == MSR_IA32_MCG_STATUS) {
		mce->status = value;
		return 0;
	}
	return is_ctl2(mce, index, guest) && !value ? 0 : -EINVAL;
}

/* Uncorrected: the guest gets it now, unless it can take none. */
static void inject_uncorrected(struct slat_vcpu *vcpu, const struct kvm_x86_mce *mce, u64 *bank)
{
	struct slat_msrs *msrs = &vcpu->msrs;

	/* The guest, or this bank of it, does not want to know. */
	if (((msrs->mce.cap & MCG_CTL_P) && msrs->mce.ctl != ~0ULL) || bank[CTL] != ~0ULL)
		return;
	if ((msrs->mce.status & MCG_STATUS_MCIP) || !(vcpu->mode.cr4 & X86_CR4_MCE)) {
		vcpu->events.exception = (struct slat_exception) {
			.pending = true, .vector = SLAT_TRIPLE_FAULT,
		};
		return;
	}
	msrs->mce.status = mce->mcg_status;
	bank[STATUS] = mce->status | (bank[STATUS] & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0);
	bank[ADDR] = mce->addr;
	bank[MISC] = mce->misc;
	slat_vcpu_inject(vcpu, X86_TRAP_MC, false, 0);
}

int slat_mce_inject(struct slat_vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	const u32 banks = vcpu->msrs.mce.cap & 0xff;
	u64 *bank;

	if (mce->bank >= banks || !(mce->status & MCI_STATUS_VAL))
		return -EINVAL;
	bank = &vcpu->msrs.mce.banks[4 * array_index_nospec(mce->bank, banks)];
	if (mce->status & MCI_STATUS_UC) {
		inject_uncorrected(vcpu, mce, bank);
		return 0;
	}
	/* Corrected: waits in the bank, but not in place of an uncorrected one. */
	if ((bank[STATUS] & MCI_STATUS_VAL) && (bank[STATUS] & MCI_STATUS_UC)) {
		bank[STATUS] |= MCI_STATUS_OVER;
		return 0;
	}
	bank[STATUS] = mce->status | (bank[STATUS] & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0);
	bank[ADDR] = mce->addr;
	bank[MISC] = mce->misc;
	return 0;
}
