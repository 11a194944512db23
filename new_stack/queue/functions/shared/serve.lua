--@include context match
-- Which workers serve a group. A *group* is a service; or, where matching is on and a job asks for more, a signature: the
-- service, a line break, and as JSON the customer and the requirements. A *class* is what a worker serves: its services,
-- one a line; and, where matching is on, after an empty line its capabilities as JSON.
local function is_signature(group)
  return string.find(group, '\n', 1, true) ~= nil
end

local function service_of(group)
  return string.match(group, '^[^\n]*')
end

local NOBODY = {}

-- Whether workers of this class take jobs of this group: false, or the set of those that the jobs exclude by name.
local function serves(class, group)
  if class.offers then return meets(class, group) end
  if class.services == '*' then return not is_signature(group) and NOBODY end
  -- A line break is in no service: a signature is found in no list of them.
  return string.find('\n' .. class.services .. '\n', '\n' .. group .. '\n', 1, true) ~= nil and NOBODY
end
