# SPDX-License-Identifier: GPL-2.0-only
# Counts test cases in the output of the kselftest runner, or of programs that
# print TAP themselves. Prints a line for each program, and what its failed cases
# said. Adds "pass NAME", "fail NAME" or "skip NAME" for each case to
# the file RESULTS. PROGRAMS names the programs that must have ended.

function result(kind, name) {
	print kind, name >> RESULTS
	fflush(RESULTS)	# other machines write there, too
	count[kind]++
}

function begin(name) {
	program = name
	plan = -1
	cases = 0
	text = ""
	said = ""
	split("", count)
}

# end: takes the program's own verdict: ok, not ok, skip
function end(verdict, why) {
	if (plan >= 0 && cases < plan) {
		for (; cases < plan; cases++)
			result("fail", program ": a case that did not end")
	}
	if (verdict == "not ok" && !count["fail"])
		result("fail", program ": " why)
	else if (!cases)
		result(verdict == "skip" ? "skip" : "pass", program ": " why)
	printf "%-6s %s: %d passed, %d failed, %d skipped\n", count["fail"] ? "FAIL" : verdict == "skip" ? "skip" : "ok",
		program, count["pass"], count["fail"], count["skip"]
	if (count["fail"])
		printf "%s%s", text, said
	fflush()
	ended[program] = 1
	program = ""
}

# A program starts: "# selftests: slat: NAME" of the runner, or "# gcc/NAME"
/^# (selftests: [^ ]*: |[a-z]+\/)[^ ]*$/ {
	begin($NF)
	next
}

program != "" { said = said "    " $0 "\n" }

/^# 1\.\.[0-9]+/ {
	if (plan < 0)
		plan = substr($2, 4) + 0
	said = ""
	next
}

/^# (not )?ok [0-9]+/ {
	line = $0
	sub(/^# (not )?ok [0-9]+ *(- )?/, "", line)
	cases++
	if (/^# not ok/)
		result("fail", program ": " line)
	else if (line ~ /# *SKIP/)
		result("skip", program ": " line)
	else
		result("pass", program ": " line)
	if (/^# not ok/)
		text = text said
	said = ""
	next
}

/^(not )?ok [0-9]+ / {
	if (program == "")
		begin($0)
	why = $0
	sub(/^[^#]*#? */, "", why)
	end(/^not ok/ ? "not ok" : /# SKIP/ ? "skip" : "ok", why)
	next
}

END {
	if (program != "")
		end("not ok", "the machine stopped")
	n = split(PROGRAMS, names)
	split("", count)
	for (i = 1; i <= n; i++) {
		if (!(names[i] in ended)) {
			result("fail", names[i] ": did not run")
			print "FAIL   " names[i] ": did not run"
		}
	}
}
