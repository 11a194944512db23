--@include context serve ready signatures paused
-- Walks the groups that a worker serves, best bound first, no farther than a claim needs. Services named one by one are
-- looked up, all at once; those of a worker that serves all of them, and signatures, are read a page at a time.
-- `groups` has what was read, sorted; no group to come has a bound above `floor` (nil where that is all).
local FIRST_PAGE = 8
local LARGEST_PAGE = 128

local function best_first(a, b) return a.bound > b.bound end

local function add_named(q, walk)
  local class, names = walk.class, {}
  for name in string.gmatch(class.services, '[^\n]+') do
    if not paused_since(q, 'service', name) and (not class.offers or serves(class, name)) then
      names[#names + 1] = name
    end
  end
  local scores = #names > 0 and redis.call('ZMSCORE', q.prefix .. 'ready', unpack(names)) or {}
  for index, name in ipairs(names) do
    if scores[index] then walk.groups[#walk.groups + 1] = { group = name, bound = tonumber(scores[index]) } end
  end
  table.sort(walk.groups, best_first)
end

local function read_page(q, walk, index)
  local rows = redis.call('ZRANGE', index.key, index.rank, index.rank + index.page - 1, 'REV', 'WITHSCORES')
  for at = 1, #rows, 2 do
    local group = rows[at]
    local excluded = not walk.seen[group] and serves(walk.class, group)
    walk.seen[group] = true
    if excluded and not excluded[walk.worker_id] and not paused_since(q, 'service', service_of(group)) then
      walk.groups[#walk.groups + 1] = { group = group, bound = tonumber(rows[at + 1]), index = index }
    end
  end
  index.rank = index.rank + #rows / 2
  index.floor = #rows == 2 * index.page and tonumber(rows[#rows]) or nil
  index.page = math.min(4 * index.page, LARGEST_PAGE)  -- mostly the first few will do
  if index.resume then pace(q, index) end
end

-- Read one page more, of the index that may have the better groups.
local function read_on(q, walk)
  local next_one
  for _, index in ipairs(walk.indexes) do
    if index.floor and (not next_one or index.floor > next_one.floor) then next_one = index end
  end
  read_page(q, walk, next_one)
  walk.floor = nil
  for _, index in ipairs(walk.indexes) do
    if index.floor then walk.floor = math.max(walk.floor or index.floor, index.floor) end
  end
  table.sort(walk.groups, best_first)
end

local function begin_walk(q, worker)
  local class = read_class(worker.services)
  local walk = { class = class, worker_id = worker.id, groups = {}, indexes = {}, seen = {} }
  if paused_since(q, 'worker', worker.id) then return walk end
  if class.services == '*' then
    walk.indexes[1] = { key = q.prefix .. 'ready', page = FIRST_PAGE, rank = 0, floor = math.huge }
  else
    add_named(q, walk)
  end
  if class.offers then
    walk.indexes[#walk.indexes + 1] = signatures_for(q, worker, FIRST_PAGE)
  end
  walk.floor = #walk.indexes > 0 and math.huge or nil
  return walk
end

-- The best group's place in its index is another one now (or it is in none): what follows moved up.
local function moved(walk, top)
  if top.index then top.index.rank = math.max(0, top.index.rank - 1) end
  table.sort(walk.groups, best_first)
end

local function head_of(q, group)
  local head = redis.call('ZRANGE', q.prefix .. 'ready:' .. group, 0, 0, 'REV', 'WITHSCORES')
  if head[1] then return head[1], tonumber(head[2]) end
end

-- Take the best ready job out of its group: its member, score and group, or nil where there is none.
local function take_best(q, walk)
  while true do
    local top, second = walk.groups[1], walk.groups[2]
    if walk.floor and (not top or top.bound <= walk.floor) then
      read_on(q, walk)
    elseif not top then
      return nil
    else
      local member, score = head_of(q, top.group)
      local rival = math.max(second and second.bound or -math.huge, walk.floor or -math.huge)
      if not member then
        redis.call('ZREM', bounds_of(q, top.group), top.group)
        table.remove(walk.groups, 1)
        moved(walk, top)
      elseif score < rival then
        redis.call('ZADD', bounds_of(q, top.group), score, top.group)
        top.bound = score
        moved(walk, top)
      else
        if second and score == second.bound then  -- priorities so large that only the members tell who was first
          local other, its_score = head_of(q, second.group)
          if other and its_score == score and other > member then
            member, top = other, second
          end
        end
        redis.call('ZREM', q.prefix .. 'ready:' .. top.group, member)
        top.bound = score
        return member, score, top.group
      end
    end
  end
end

-- How many jobs are ready in the groups that the worker serves, of those that are read until there is one.
local function ready_for(q, worker)
  local walk, ready, counted = begin_walk(q, worker), 0, {}
  while true do
    for _, one in ipairs(walk.groups) do
      if not counted[one.group] then ready = ready + redis.call('ZCARD', q.prefix .. 'ready:' .. one.group) end
      counted[one.group] = true
    end
    if ready > 0 or not walk.floor then return ready end
    read_on(q, walk)
  end
end
