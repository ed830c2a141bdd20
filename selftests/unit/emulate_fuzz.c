// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: whatever the bytes, the decoder keeps its promises.  The
 * first byte picks the mode.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "emulate.h"

#define CHECK(condition)	do { if (!(condition)) abort(); } while (0)

static bool is_reg(u8 reg)
{
	return reg < 16 || reg == SLAT_INSN_NO_REG;
}

static bool is_size(u8 size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static void check_fields(const struct slat_insn *insn, enum slat_insn_mode mode)
{
	bool mem = insn->flags & SLAT_INSN_MEM;

	CHECK(insn->len >= 1 && insn->len <= SLAT_INSN_MAX_LEN);
	CHECK(insn->op > SLAT_OP_NONE && insn->op < SLAT_OP_COUNT);
	CHECK(is_size(insn->opsize) || (insn->op == SLAT_OP_INVLPG && !insn->opsize));
	CHECK(is_size(insn->regsize) && is_size(insn->addrsize) && insn->addrsize > 1);
	CHECK(insn->seg <= SLAT_SEG_GS && insn->scale <= 3);
	CHECK(is_reg(insn->reg) && is_reg(insn->rm) && is_reg(insn->base) && is_reg(insn->index));
	CHECK(!mem || insn->rm == SLAT_INSN_NO_REG);
	CHECK(mem || (insn->base == SLAT_INSN_NO_REG && insn->index == SLAT_INSN_NO_REG &&
		      !insn->disp && !(insn->flags & SLAT_INSN_RIP)));
	CHECK((insn->flags & SLAT_INSN_IMM) || !insn->imm);
	CHECK(!(insn->flags & SLAT_INSN_LOCK) || mem || insn->op == SLAT_OP_MOV_CR);
	CHECK(!(insn->flags & SLAT_INSN_HIGH_REG) || (insn->reg < 4 && insn->regsize == 1));
	CHECK(!(insn->flags & SLAT_INSN_HIGH_RM) || (insn->rm < 4 && insn->opsize == 1));
	if (mode == SLAT_INSN_64)
		CHECK(insn->addrsize != 2);
	else
		CHECK(insn->addrsize != 8 && insn->opsize != 8 &&
		      !(insn->flags & (SLAT_INSN_REX | SLAT_INSN_RIP)));
}

static void check_helpers(const struct slat_insn *insn)
{
	u64 gpr[16], flags = 0, value;
	unsigned int i;

	for (i = 0; i < 16; i++)
		gpr[i] = ~0ull / (i + 1);
	if (insn->flags & SLAT_INSN_MEM) {
		value = slat_insn_ea(insn, gpr, ~0ull);
		CHECK(insn->addrsize == 8 || !(value >> 8 * insn->addrsize));
	}
	if (insn->op <= SLAT_OP_BTC) {
		value = slat_insn_alu(insn->op, insn->opsize, gpr[1], insn->imm, &flags);
		CHECK(insn->opsize == 8 || !(value >> 8 * insn->opsize));
		CHECK(!(flags & ~0x8d5ull));
	}
}

/* From memory of exactly that size. */
static int decode(struct slat_insn *insn, const uint8_t *data, size_t n, enum slat_insn_mode mode)
{
	u8 *copy = malloc(n ? n : 1);
	int err;

	memcpy(copy, data, n);
	memset(insn, 0xa5, sizeof(*insn));
	err = slat_insn_decode(insn, copy, n, mode);
	free(copy);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slat_insn insn, again;
	enum slat_insn_mode mode;
	size_t n;
	int err;

	if (!size)
		return 0;
	mode = *data++ % 3;
	size--;

	err = decode(&insn, data, size, mode);
	CHECK(err == 0 || err == -ENODATA || err == -EINVAL || err == -EOPNOTSUPP);
	CHECK(err != -ENODATA || size < SLAT_INSN_MAX_LEN);
	if (err == -EINVAL || err == -EOPNOTSUPP) {
		/* more bytes never change that */
		for (n = 0; n < size && n < SLAT_INSN_MAX_LEN; n++) {
			int less = decode(&again, data, n, mode);

			CHECK(less == -ENODATA || less == err);
		}
		return 0;
	}
	if (err)
		return 0;

	check_fields(&insn, mode);
	check_helpers(&insn);
	CHECK(insn.len <= size);
	CHECK(decode(&again, data, insn.len, mode) == 0);
	CHECK(!memcmp(&insn, &again, sizeof(insn)));
	for (n = 0; n < insn.len; n++)
		CHECK(decode(&again, data, n, mode) == -ENODATA);
	return 0;
}
