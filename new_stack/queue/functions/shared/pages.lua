--@include context serve ready signatures paused
-- The groups of workers that serve every service, and the signatures of those that match: an index of them is read a page
-- at a time, best bound first. No group to come has a bound above `walk.floor` (nil where that is all).
local FIRST_PAGE = 8
local LARGEST_PAGE = 128

local function best_first(a, b) return a.bound > b.bound end

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

-- Begin with the indexes that a class needs: its named services are none.
local function open_pages(q, walk, worker)
  if walk.class.services == '*' then
    walk.indexes[1] = { key = q.prefix .. 'ready', page = FIRST_PAGE, rank = 0, floor = math.huge }
  end
  if walk.class.offers then walk.indexes[#walk.indexes + 1] = signatures_for(q, worker, FIRST_PAGE) end
  walk.floor = #walk.indexes > 0 and math.huge or nil
end
