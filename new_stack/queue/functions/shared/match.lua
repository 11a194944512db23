--@include context why_not
-- Which workers may take the jobs that ask for more than a service, by what the workers offer.
--
-- The two texts, of the group and of the class (serve.lua), alone decide (but for workers that a job excludes by name),
-- so what was decided is remembered from call to call: a claim that walks a hundred signatures looks them up. Forgetting
-- it all at any time changes no answer.
local REMEMBERED = 20000
local memory, memory_size, classes_read = {}, 0, {}

-- What the jobs of a group ask for, as `why_not` takes it; nil where nothing can read it: no worker takes such jobs.
local function asked_by(group)
  local service, text = string.match(group, '^([^\n]*)\n(.*)$')
  if not service then return { service = group } end
  local fine, asks = pcall(cjson.decode, text)
  if not fine or type(asks) ~= 'table' or asks[1] ~= nil then return nil end
  return { service = service, customer = asks.customer, requirements = asks.requirements }
end

-- A class by its text: its services, and what it offers, nil where its workers do not match. Capabilities that nothing
-- can read are text, and so malformed to every job.
local function read_class(text)
  local known = classes_read[text]
  if known then return known end
  local services, offered = string.match(text, '^(.-)\n\n(.*)$')
  known = { text = text, services = services or text }
  if services then
    local fine, offers = pcall(cjson.decode, offered)
    known.offers = fine and type(offers) == 'table' and offers or 'unreadable'
    if type(known.offers) == 'table' then
      known.offers.services = {}
      for name in string.gmatch(services, '[^\n]+') do table.insert(known.offers.services, name) end
    end
  end
  if memory_size > REMEMBERED then memory, memory_size, classes_read = {}, 0, {} end
  classes_read[text], memory_size = known, memory_size + 1
  return known
end

-- The workers that a job excludes by name, as a set; false where it excludes them all.
local function excluded_by(job)
  local exclude = job.requirements and job.requirements ~= cjson.null and job.requirements.exclude
  local workers = exclude and exclude ~= cjson.null and exclude.workers
  if workers == 'all' then return false end
  local found = {}
  for _, name in ipairs(type(workers) == 'table' and workers or { workers or nil }) do found[name] = true end
  return found
end

-- false where no worker of the class may take jobs of the group; else the set of those that are excluded by name.
local function decide(class, group)
  local job = asked_by(group)
  if not job or why_not(job, { capabilities = class.offers }) then return false end
  return excluded_by(job)
end

-- Whether workers of a class that matches take jobs of this group: false, or the set of those excluded by name.
local function meets(class, group)
  local decided = memory[class.text]
  if not decided then
    decided = {}
    memory[class.text] = decided
  end
  local answer = decided[group]
  if answer == nil then
    if memory_size > REMEMBERED then
      decided = {}
      memory, memory_size, classes_read = { [class.text] = decided }, 0, {}
    end
    answer = decide(class, group)
    decided[group], memory_size = answer, memory_size + 1
  end
  return answer
end
