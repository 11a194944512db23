--@include context serve ready pages paused
-- Walks the groups that a worker serves, best bound first, no farther than a claim needs. Services named one by one are
-- looked up, all at once; the others come by the page. `groups` has what was read, sorted; `most` is how many jobs it is for.
local function add_named(q, walk)
  local class, names = walk.class, {}
  for name in string.gmatch(class.services, '[^\n]+') do
    local takes = not paused_since(q, 'service', name) and (not class.offers or serves(class, name))
    if takes and not walk.seen[name] then names[#names + 1] = name end
    walk.seen[name] = true
  end
  local scores = #names > 0 and redis.call('ZMSCORE', q.prefix .. 'ready', unpack(names)) or {}
  for index, name in ipairs(names) do
    if scores[index] then walk.groups[#walk.groups + 1] = { group = name, bound = tonumber(scores[index]) } end
  end
  table.sort(walk.groups, best_first)
end

local function begin_walk(q, worker, most)
  local class = read_class(worker.services)
  local walk = { class = class, worker_id = worker.id, most = most, groups = {}, indexes = {}, seen = {} }
  if paused_since(q, 'worker', worker.id) then return walk end
  if class.services ~= '*' then add_named(q, walk) end
  open_pages(q, walk, worker)
  return walk
end

-- The best job of a group, its member and score; nil where there is none. `heads` has those that were read at once, more
-- each time, but no more than are asked for; `at` is the place of the best one: whoever looks at it moves on. All stay in
-- the group until the walk is over, but for what ends meanwhile: `passed` is how many stand before the next heads.
local function head_of(q, walk, one)
  if not one.heads or not one.heads[one.at] then
    one.page = math.min(walk.most, 2 * (one.page or 1))
    local from, to = one.passed or 0, (one.passed or 0) + one.page - 1
    one.heads = redis.call('ZRANGE', q.prefix .. 'ready:' .. one.group, from, to, 'REV', 'WITHSCORES')
    one.at = 1
  end
  if one.heads[one.at] then return one.heads[one.at], tonumber(one.heads[one.at + 1]) end
end

-- The best group's bound is lower (`score`), or nothing is in it: what follows it in its index has moved up.
local function correct_bound(q, walk, score)
  local top = walk.groups[1]
  if score then
    redis.call('ZADD', bounds_of(q, top.group), score, top.group)
    top.bound = score
  else
    redis.call('ZREM', bounds_of(q, top.group), top.group)
    table.remove(walk.groups, 1)
  end
  if top.index then top.index.rank = math.max(0, top.index.rank - 1) end
  table.sort(walk.groups, best_first)
end

-- The best ready job: its member, its score, and its group as the walk has it; nil where there is none.
local function find_best(q, walk)
  while true do
    local top, second = walk.groups[1], walk.groups[2]
    local rival = math.max(second and second.bound or -math.huge, walk.floor or -math.huge)
    if walk.floor and (not top or top.bound <= walk.floor) then
      read_on(q, walk)
    elseif not top then
      return nil
    else
      local member, score = head_of(q, walk, top)
      if member and score >= rival then
        local other, its_score
        if second and score == second.bound then other, its_score = head_of(q, walk, second) end
        -- Priorities so large that only the members tell who was first.
        if other and its_score == score and other > member then return other, score, second end
        return member, score, top
      end
      correct_bound(q, walk, score)
    end
  end
end
