-- What many jobs of one call add to a sorted set, or take out of it, is gathered and done in one command: at the end of
-- the call, or before something in it reads the set. Gather once the record is saved: a call may break off.
local MOST_WORDS = 1000

local function do_gathered(q)
  for set, words in pairs(q.gathered or {}) do
    for from = 1, #words, MOST_WORDS do
      redis.call(words.command, q.prefix .. set, unpack(words, from, math.min(#words, from + MOST_WORDS - 1)))
    end
  end
  q.gathered = nil
end

-- Gather a member to be removed ('ZREM'), or a score and a member to be added ('ZADD').
local function gather(q, command, set, first, second)
  local words = q.gathered and q.gathered[set]
  if words and words.command ~= command then do_gathered(q) end
  if not words or words.command ~= command then
    words, q.gathered = { command = command }, q.gathered or {}
    q.gathered[set] = words
  end
  words[#words + 1] = first
  if second then words[#words + 1] = second end
end
