-- Predicates of a Kestrel pack for LuaJIT, written by eqlc to be read and edited.
-- Each tells whether it holds for the event e. docs/runtime-abi.md says what the host gives;
-- the fields and their slots are listed at the end.

return function(host)
  assert(host.abi == 2, "this source needs host ABI 2")
  assert(host.slots == 7, "this source reads frames of 7 fields")

  local all = host.all                         -- all(e, number, …): whether all of these atoms hold; up to 8
  local any = host.any                         -- any(e, number, …): whether one of these atoms holds; up to 8
  local present = host.present                 -- present(e, slot): the field has a value
  local predicates = {}

  -- rule "file-made-immutable"
  predicates[0] = function(e)
    return all(e,
        0,               -- event.category == "process"
        1,               -- host.os.type == "linux"
        2)               -- event.action in ("exec", "start")
      and present(e, 16) -- process.parent.executable != null
      and all(e,
          4,             -- process.name == "chattr"
          5)             -- process.args like~ ("-*i*", "+*i*")
      and not any(e,
          6,             -- process.parent.executable in~ ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")
          7,             -- process.parent.name in ("a", "b", "c", "d", "e", 2 more)
          8)             -- process.args regex "/opt/[a-z]+/.*"
  end

  return predicates
end

-- Fields by slot, in words of 32 bits from the start of a frame:
--     12 event.category (keyword)
--     16 process.parent.executable (keyword)
--     20 host.os.type (keyword)
--     24 event.action (keyword)
--     28 process.name (keyword)
--     32 process.args (keyword)
--     36 process.parent.name (keyword)
