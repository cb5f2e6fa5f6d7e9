# Whether gdb can call a function of a program. A gdb that is older than the processor may be unable to write all of its registers: gdb 13 is
# where there is AMX.
set debuginfod enabled off
set print inferior-events off
break main
run
python
try:
    gdb.parse_and_eval("(int)walk_list(0, 0)")
    print("calls work")
except gdb.error as error:
    print("no calls:", error)
end
kill
