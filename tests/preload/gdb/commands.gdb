# What a person would do: break, look around, call into the program, watch, run to the end. No process numbers are shown.
set pagination off
set width 0
set confirm off
set print inferior-events off
set print thread-events off
set print address off
set debuginfod enabled off

# What names threads and processes by their numbers goes nowhere.
set logging file /dev/null
set logging redirect on
define quietly
  set logging enabled on
  $arg0
  set logging enabled off
end

break program.c:walk_list if n == 0
run
backtrace
frame 3
info locals
info args
print *list
print list->next->next->name
delete
# The test says whether gdb can call functions here.
if $calls
  print (int)walk_list(3, list)
  call (void)snprintf(((struct node *)list)->name, 24, "renamed")
  print list->name
  print *(char (*)[6])strcpy(((char *(*)(unsigned long))malloc)(32), "hello")
end
break program.c:other_thread
quietly continue
backtrace 1
print (char *)text
if $calls
  finish
end
info symbol main
ptype struct node
python
names = {}
for i in range(20000):
    names.setdefault(i % 997, []).append("x" * (i % 300))
print("python", sum(len(n) for n in names.values()))
print(gdb.lookup_global_symbol("walk_list").symtab.filename)
end
info functions ^walk_list$
delete
quietly continue
print $_exitcode
