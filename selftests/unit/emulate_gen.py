#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Writes instructions for the assembler, and beside them what the decoder must
say.  Both come from operands chosen here, never from opcodes, so the test
shares no table with the decoder: encodings and lengths are the assembler's.

usage: emulate_gen.py OUT.s OUT.inc
"""
import itertools
import sys

NAMES = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"]
RAX, RDX, RSP, RBP, RSI, RDI = 0, 2, 4, 5, 6, 7
ES, CS, SS, DS, FS, GS = range(6)
SEGS = ["es", "cs", "ss", "ds", "fs", "gs"]
SUFFIX = {1: "b", 2: "w", 4: "l", 8: "q"}
GPR = [(0x9e3779b97f4a7c15 * (i + 1) ^ (i << 61)) & (1 << 64) - 1 for i in range(16)]

cases = []


def reg_name(n, size, high=False):
    if high:
        return "acdb"[n] + "h"
    if n >= 8:
        return f"r{n}" + {1: "b", 2: "w", 4: "d", 8: ""}[size]
    if size == 1:
        return NAMES[n][0] + "l" if n < 4 else NAMES[n] + "l"
    return {2: "", 4: "e", 8: "r"}[size] + NAMES[n]


class Mem:
    """A memory operand: the text, and what it means."""

    def __init__(self, addr, base=None, index=None, scale=0, disp=0, rip=False, seg=None, mode=64):
        self.addr, self.base, self.index, self.scale = addr, base, index, scale
        self.disp, self.rip, self.mode = disp, rip, mode
        self.override = seg
        self.seg = SS if base in (RSP, RBP) else DS
        if seg is not None and (mode != 64 or seg in (FS, GS)):
            self.seg = seg
        self.needs_rex = any(r is not None and r >= 8 for r in (base, index))

    def __str__(self):
        text = f"%{SEGS[self.override]}:" if self.override is not None else ""
        if self.disp or (self.base is None and self.index is None):
            text += hex(self.disp)
        if self.rip:
            return text + ("(%rip)" if self.addr == 8 else "(%eip)")
        if self.base is None and self.index is None:
            return text
        text += "(" + (f"%{reg_name(self.base, self.addr)}" if self.base is not None else "")
        if self.index is not None:
            text += f",%{reg_name(self.index, self.addr)}"
            if self.addr != 2:
                text += f",{1 << self.scale}"
        return text + ")"

    def with_seg(self, seg):
        return Mem(self.addr, self.base, self.index, self.scale, self.disp, self.rip, seg, self.mode)

    def fields(self):
        flags = ["MEM", "RIP"] if self.rip else ["MEM"]
        return dict(flags=flags, addrsize=self.addr, seg=self.seg, base=self.base,
                    index=self.index, scale=self.scale, disp=self.disp)


def mems16(mode):
    bx, bp, si, di = 3, RBP, RSI, RDI
    for base, index in [(bx, si), (bx, di), (bp, si), (bp, di)]:
        yield Mem(2, base, index, mode=mode)
    for base in (si, di, bx, bp):
        yield Mem(2, base, disp=0x7f, mode=mode)
    yield Mem(2, bp, mode=mode)
    yield Mem(2, bx, disp=-0x80, mode=mode)
    yield Mem(2, bp, di, disp=0x1234, mode=mode)
    yield Mem(2, si, disp=-0x1234, mode=mode)
    if mode == 16:
        yield Mem(2, disp=0x7654, mode=mode)


def mems32(mode, addr):
    for base in range(8):
        yield Mem(addr, base, mode=mode)
    yield Mem(addr, 3, disp=-1, mode=mode)
    yield Mem(addr, RBP, disp=-0x80, mode=mode)
    yield Mem(addr, RSP, disp=0x80, mode=mode)
    yield Mem(addr, 1, disp=-0x12345678, mode=mode)
    yield Mem(addr, 0, 1, 2, mode=mode)
    yield Mem(addr, RBP, 2, 3, mode=mode)
    yield Mem(addr, RSP, RBP, 1, 0x10, mode=mode)
    yield Mem(addr, 7, 6, 0, -0x1000, mode=mode)
    yield Mem(addr, None, 7, 3, 0x76543210, mode=mode)
    if mode == 32 and addr == 4:
        yield Mem(addr, disp=0x12345678, mode=mode)


def mems64(addr):
    yield from mems32(64, addr)
    for base in range(8, 16):
        yield Mem(addr, base)
    yield Mem(addr, 12, 12, 3, 0x7f)
    yield Mem(addr, 13, 4 + 9, 1)
    yield Mem(addr, RBP, 12, 3, -8)
    yield Mem(addr, None, 15, 2, 0x10)
    yield Mem(addr, disp=0x1234, rip=True)
    yield Mem(addr, disp=-0x7fffff00, rip=True)
    if addr == 8:
        yield Mem(addr, disp=0x1000)


def memories(mode):
    if mode == 64:
        return list(mems64(8)) + list(mems64(4))
    return list(mems16(mode)) + list(mems32(mode, 4))


def emit(mode, text, op, flags=(), **fields):
    fields = {"addrsize": mode // 8, "seg": DS, **fields}
    fields.setdefault("regsize", fields.get("opsize"))
    cases.append((mode, text, op, list(flags), fields))


def effective(mem, op, size, reg):
    """Where the operand is; RIP-relative is left to the test."""
    ea = mem.disp
    if mem.base is not None:
        ea += GPR[mem.base]
    if mem.index is not None:
        ea += GPR[mem.index] << mem.scale
    if op.startswith("BT") and reg is not None:
        bit = GPR[reg] & (1 << 8 * size) - 1
        bit -= (bit >> 8 * size - 1) << 8 * size
        ea += bit // (8 * size) * size
    return ea & (1 << 8 * mem.addr) - 1


class Reg:
    """A register operand in the place of memory."""

    def __init__(self, n, size, high=False):
        self.n, self.high = n, high
        self.name = reg_name(n, size, high)

    def __str__(self):
        return "%" + self.name


def registers(mode, size):
    high = [(n, True) for n in range(4)] if size == 1 else []
    low = range(16 if mode == 64 else 4 if size == 1 else 8)
    return [(n, False) for n in low] + high


def clash(size, reg, high, rm):
    """AH..BH have no encoding beside anything that needs REX."""
    def rex(n):
        return n is not None and (n >= 8 or (size == 1 and n >= 4))
    if isinstance(rm, Mem):
        return high and rm.needs_rex
    return (high and rex(rm.n) and not rm.high) or (rm.high and not high and rex(reg))


def modrm(mode, template, op, size, rm, reg=None, high=False, flags=(), **fields):
    """One instruction whose ModRM names rm and perhaps reg."""
    flags = ["MODRM", *flags] + (["HIGH_REG"] if high else [])
    regsize = fields.pop("regsize", size)
    if reg is not None:
        fields["reg"] = reg
        if regsize == 8 or reg >= 8 or (regsize == 1 and reg >= 4):
            flags.append("REX")
    if isinstance(rm, Mem):
        more = rm.fields()
        flags += more.pop("flags")
        fields |= more
        fields["ea"] = effective(rm, op, size, reg)
        if rm.needs_rex:
            flags.append("REX")
    else:
        fields["rm"] = rm.n
        flags += ["HIGH_RM"] if rm.high else []
        if rm.n >= 8 or (size == 1 and rm.n >= 4 and not rm.high):
            flags.append("REX")
    if (size == 8 or regsize == 8) and not template.startswith(("lmsw", "invlpg", "push")):
        flags.append("REX")
    name = reg_name(reg, regsize, high) if reg is not None else ""
    text = template.format(s=SUFFIX.get(size, ""), r="%" + name, m=rm)
    emit(mode, text, op, set(flags), opsize=size, regsize=regsize, **fields)


def sizes(mode, smallest=1):
    return [s for s in (1, 2, 4, 8) if s >= smallest and s * 8 <= max(mode, 32)]


def sweep(mode, template, op, size, flags=(), regsize=None, lock=False, register=False):
    """All memory forms with some register, all registers with some memory form."""
    has_reg = "{r}" in template
    all_regs = registers(mode, regsize or size) if has_reg else [(None, False)]
    regs = itertools.cycle(all_regs)
    every = memories(mode)
    pick = [every[i] for i in range(0, len(every), 7)]
    fields = {"regsize": regsize} if regsize else {}

    def one(rm, reg, high, template=template, flags=flags):
        # the accumulator with a plain address has a shorter encoding
        if isinstance(rm, Mem) and reg == 0 and rm.base is rm.index is None and op == "MOV":
            reg, high = 1, False
        if not clash(size, reg, high, rm):
            modrm(mode, template, op, size, rm, reg, high, flags, **fields)

    for mem in every:
        one(mem, *next(regs))
    for mem, (reg, high) in zip(itertools.cycle(pick), all_regs):
        one(mem, reg, high)
    for mem in pick[:3]:
        for seg in range(6):
            one(mem.with_seg(seg), *next(regs))
        if lock:
            one(mem, *next(regs), "lock " + template, ["LOCK", *flags])
    if register:
        for (n, high), reg in zip(registers(mode, size), itertools.cycle(all_regs[1:] or all_regs)):
            if n != 0 or not has_reg:
                one(Reg(n, size, high), *reg)


def immediates(size):
    yield from (0x12, -1) if size == 1 else (0x12, -0x80)
    if size == 2:
        yield from (0x1234, -0x7ffe)
    elif size > 2:
        yield from (0x12345678, -0x7ffffffe)


def sweep_imm(mode, mnemonic, op, size, lock=False):
    every = memories(mode)
    for i, imm in enumerate(immediates(size)):
        for mem in every[i::3]:
            modrm(mode, f"{mnemonic}{{s}} ${imm}, {{m}}", op, size, mem, flags=["IMM"], imm=imm)
        modrm(mode, f"{mnemonic}{{s}} ${imm}, {{m}}", op, size, Reg(3, size), flags=["IMM"], imm=imm)
        if lock:
            modrm(mode, f"lock {mnemonic}{{s}} ${imm}, {{m}}", op, size, every[i],
                  flags=["IMM", "LOCK"], imm=imm)


def arithmetic(mode):
    for size in sizes(mode):
        for name in ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"):
            lock = name != "cmp"
            sweep(mode, name + "{s} {r}, {m}", name.upper(), size, lock=lock, register=True)
            sweep(mode, "{{load}} " + name + "{s} {m}, {r}", name.upper(), size, ["REG_DST"],
                  register=True)
            sweep_imm(mode, name, name.upper(), size, lock)
        for name in ("inc", "dec", "not", "neg"):
            # INC and DEC of a register are one byte outside 64-bit mode
            register = mode == 64 or name in ("not", "neg") or size == 1
            sweep(mode, name + "{s} {m}", name.upper(), size, lock=True, register=register)
        sweep(mode, "test{s} {r}, {m}", "TEST", size, register=True)
        sweep_imm(mode, "test", "TEST", size)
        sweep(mode, "xadd{s} {r}, {m}", "XADD", size, lock=True, register=True)
        sweep(mode, "cmpxchg{s} {r}, {m}", "CMPXCHG", size, lock=True, register=True)
        sweep(mode, "xchg{s} {r}, {m}", "XCHG", size, lock=True)


def bits(mode):
    for size, name in itertools.product(sizes(mode, 2), ("bt", "bts", "btr", "btc")):
        sweep(mode, name + "{s} {r}, {m}", name.upper(), size, lock=name != "bt", register=True)
        for bit, mem in zip(itertools.cycle((0, 31, 63, 0x9f)), memories(mode)):
            modrm(mode, f"{name}{{s}} ${bit}, {{m}}", name.upper(), size, mem, flags=["IMM"], imm=bit)
        if name != "bt":
            modrm(mode, f"lock {name}{{s}} $5, {{m}}", name.upper(), size, memories(mode)[0],
                  flags=["IMM", "LOCK"], imm=5)


def moves(mode):
    for size in sizes(mode):
        sweep(mode, "mov{s} {r}, {m}", "MOV", size, register=True)
        sweep(mode, "{{load}} mov{s} {m}, {r}", "MOV", size, ["REG_DST"], register=True)
        for imm, mem in itertools.product(immediates(size), memories(mode)[::2]):
            modrm(mode, f"mov{{s}} ${imm}, {{m}}", "MOV", size, mem, flags=["IMM"], imm=imm)
        moffs(mode, size)
        if size >= 4:
            sweep(mode, "movnti{s} {r}, {m}", "MOV", size)
    for small, big in [(1, 2), (1, 4), (1, 8), (2, 4), (2, 8), (4, 8)]:
        if big * 8 > max(mode, 32):
            continue
        suffix = SUFFIX[small] + SUFFIX[big]
        sweep(mode, f"movs{suffix} {{m}}, {{r}}", "MOVSX", small, ["REG_DST"], big)
        if small < 4:
            sweep(mode, f"movz{suffix} {{m}}, {{r}}", "MOVZX", small, ["REG_DST"], big)
        for n, high in registers(mode, small):
            # a high byte register has no encoding with REX
            if not (high and big == 8):
                modrm(mode, f"movs{suffix} {{m}}, {{r}}", "MOVSX", small, Reg(n, small, high), 3,
                      flags=["REG_DST"], regsize=big)


def pushes(mode):
    # of a register it is another opcode
    for size in (2, 8) if mode == 64 else (2, 4):
        sweep(mode, "push{s} {m}", "PUSH", size)


def moffs(mode, size):
    address = {16: 0x89ab, 32: 0x89abcdef, 64: 0x89abcdef01234567}[mode]
    mnemonic = "movabs" if mode == 64 else "mov"
    accumulator = "%" + reg_name(RAX, size)
    rex = ["REX"] if size == 8 else []
    signed = address - (1 << mode)
    for seg in (None, FS, ES):
        mem = Mem(mode // 8, disp=signed, seg=seg, mode=mode)
        place = (f"%{SEGS[seg]}:" if seg is not None else "") + hex(address)
        more = mem.fields()
        flags = more.pop("flags") + rex
        more |= dict(opsize=size, reg=RAX, ea=address)
        emit(mode, f"{mnemonic}{SUFFIX[size]} {place}, {accumulator}", "MOV", flags + ["REG_DST"], **more)
        emit(mode, f"{mnemonic}{SUFFIX[size]} {accumulator}, {place}", "MOV", flags, **more)


def strings(mode):
    for size in sizes(mode):
        for addr in {16: (2, 4), 32: (2, 4), 64: (4, 8)}[mode]:
            for rep in ("", "rep ", "repne "):
                string_ops(mode, size, addr, rep)


def string_ops(mode, size, addr, rep):
    s, acc = SUFFIX[size], "%" + reg_name(RAX, size)
    flags = {"": [], "rep ": ["REP"], "repne ": ["REPNE"]}[rep] + (["REX"] if size == 8 else [])
    dst = f"%es:(%{reg_name(RDI, addr)})"

    def one(text, op, more, **fields):
        ea = GPR[fields["base"]] & (1 << 8 * addr) - 1
        emit(mode, rep + text, op, ["MEM", *flags, *more], opsize=size, addrsize=addr, ea=ea, **fields)

    to = dict(seg=ES, base=RDI)
    one(f"stos{s} {acc}, {dst}", "STOS", ["STR_DST"], reg=RAX, **to)
    one(f"scas{s} {dst}, {acc}", "SCAS", ["STR_DST", "REG_DST"], reg=RAX, **to)
    if size < 8:
        one(f"ins{s} (%dx), {dst}", "INS", ["STR_DST"], **to)
    for seg in [None] + list(range(6)):
        mem = Mem(addr, RSI, seg=seg, mode=mode)
        at = dict(seg=mem.seg, base=RSI)
        one(f"lods{s} {mem}, {acc}", "LODS", ["STR_SRC", "REG_DST"], reg=RAX, **at)
        one(f"movs{s} {mem}, {dst}", "MOVS", ["STR_SRC", "STR_DST"], **at)
        one(f"cmps{s} {dst}, {mem}", "CMPS", ["STR_SRC", "STR_DST"], **at)
        if size < 8:
            one(f"outs{s} {mem}, (%dx)", "OUTS", ["STR_SRC"], **at)


def ports(mode):
    for size in (1, 2, 4):
        acc = "%" + reg_name(RAX, size)
        fields = dict(opsize=size, reg=RAX)
        for port in (0, 0x71, 0xfe):
            emit(mode, f"in ${port}, {acc}", "IN", ["IMM", "REG_DST"], imm=port, **fields)
            emit(mode, f"out {acc}, ${port}", "OUT", ["IMM"], imm=port, **fields)
        emit(mode, f"in %dx, {acc}", "IN", ["REG_DST"], **fields)
        emit(mode, f"out {acc}, %dx", "OUT", [], **fields)


def control(mode):
    size = 8 if mode == 64 else 4
    regs = range(16 if mode == 64 else 8)
    for kind, numbers in (("CR", [0, 2, 3, 4] + [8] * (mode == 64)), ("DR", range(8))):
        for n, gpr in itertools.product(numbers, regs):
            fields = dict(opsize=size, reg=n, rm=gpr)
            rex = ["REX"] if n >= 8 or gpr >= 8 else []
            name, special = reg_name(gpr, size), f"%{kind.lower()}{n}"
            emit(mode, f"mov %{name}, {special}", f"MOV_{kind}", ["MODRM", "REG_DST", *rex], **fields)
            emit(mode, f"mov {special}, %{name}", f"MOV_{kind}", ["MODRM", *rex], **fields)
    default = 2 if mode == 16 else 4
    for mem in memories(mode):
        modrm(mode, "invlpg {m}", "INVLPG", 0, mem, regsize=default)
        modrm(mode, "smsw {m}", "SMSW", 2, mem, regsize=default)
        modrm(mode, "lmsw {m}", "LMSW", 2, mem, regsize=default)
    for n in regs:
        modrm(mode, "lmsw {m}", "LMSW", 2, Reg(n, 2), regsize=default)
        for s in sizes(mode, 2):
            modrm(mode, "smsw {m}", "SMSW", s, Reg(n, s))


def fixed(mode):
    default = 2 if mode == 16 else 4
    for name in ("cpuid hlt rdmsr wrmsr rdtsc rdtscp rdpmc invd wbinvd monitor mwait xsetbv rsm "
                 "vmmcall vmcall stgi clgi vmrun vmload vmsave skinit invlpga clts int3 int1 "
                 "into").split():
        if name != "into" or mode != 64:
            emit(mode, name, name.upper(), opsize=default)
    emit(mode, "monitorx", "MONITOR", opsize=default)
    emit(mode, "mwaitx", "MWAIT", opsize=default)
    emit(mode, "wbnoinvd", "WBINVD", ["REP"], opsize=default)
    emit(mode, "pause", "PAUSE", ["REP"], opsize=default)
    for vector in (0, 0x80, 0xff):
        emit(mode, f"int ${vector}", "INT", ["IMM"], imm=vector, opsize=default)
    for suffix, size in (("w", 2), ("l", 4), ("q", 8)):
        rex = ["REX"] if size == 8 else []
        if size < 8 or mode == 64:
            emit(mode, "iret" + suffix, "IRET", rex, opsize=size)
        if size in ((2, 8) if mode == 64 else (2, 4)):
            emit(mode, "pushf" + suffix, "PUSHF", [], opsize=size)
            emit(mode, "popf" + suffix, "POPF", [], opsize=size)


def initializer(case):
    mode, text, op, flags, fields = case
    words = [f".op = SLAT_OP_{op}"]
    if flags:
        words.append(".flags = " + " | ".join("SLAT_INSN_" + f for f in sorted(set(flags))))
    ea = fields.pop("ea", 0)
    for name in ("reg", "rm", "base", "index"):
        if fields.get(name) is None:
            fields[name] = "SLAT_INSN_NO_REG"
    words += [f".{name} = {value}" for name, value in fields.items()]
    quoted = text.replace('"', '\\"')
    return f'\t{{ "{quoted}", SLAT_INSN_{mode}, {ea:#x}ull, {{ {", ".join(words)} }} }},\n'


def main():
    for mode in (16, 32, 64):
        for section in (arithmetic, bits, moves, pushes, strings, ports, control, fixed):
            section(mode)
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write("\t.section .rodata\n\t.globl slat_unit_insns\nslat_unit_insns:\n")
        for i, case in enumerate(cases):
            out.write(f"\t.code{case[0]}\n.L{i}:\t{case[1]}\n")
        out.write(f".L{len(cases)}:\n\t.globl slat_unit_offsets\n\t.balign 4\nslat_unit_offsets:\n")
        for i in range(len(cases) + 1):
            out.write(f"\t.long .L{i} - slat_unit_insns\n")
        out.write('\t.section .note.GNU-stack,"",@progbits\n')
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write("static const u64 gpr[16] = {\n")
        out.writelines(f"\t{value:#x}ull,\n" for value in GPR)
        out.write("};\n\nstatic const struct form forms[] = {\n")
        out.writelines(initializer(case) for case in cases)
        out.write("};\n")


main()
