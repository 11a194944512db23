-- Why a worker may not take a job: nil where it may, else the rule that it breaks and the name that decided it.
-- `job` has service, customer, requirements; `worker` has id, capabilities: decoded JSON of any shape, because what
-- stands in Redis may be anybody's. What no rule can read is 'malformed' and harms that job or that worker alone.
-- The same rules, in the same order, stand in oracle.py; the tests hold the two together.
local AMOUNTS = { 'gpu_memory_gb', 'gpu_count', 'cpu_cores', 'ram_gb', 'disk_gb' }
local ISOLATIONS = { none = true, loose = true, strict = true }

local function given(value)
  if value == nil or value == cjson.null then return nil end
  return value
end

local function malformed(field)
  error({ malformed = field }, 0)
end

local function is_list(value)
  return type(value) == 'table' and (next(value) == nil or value[1] ~= nil)
end

-- A JSON object; an empty list cannot be told from an empty object here.
local function object(value, field)
  value = given(value)
  if value == nil then return {} end
  if type(value) ~= 'table' or value[1] ~= nil then malformed(field) end
  return value
end

-- A list of names, 'all', or nil; one name alone is a list of one.
local function names(value, field)
  value = given(value)
  if value == nil or value == 'all' then return value end
  if type(value) == 'string' then return { value } end
  if not is_list(value) then malformed(field) end
  for _, name in ipairs(value) do
    if type(name) ~= 'string' then malformed(field) end
  end
  return value
end

local function has_name(list, name)
  for _, one in ipairs(list) do
    if one == name then return true end
  end
  return false
end

local function lacks_service(job, offers)
  local served = names(offers.services, 'capabilities.services')
  if served == 'all' then return end
  if served and (has_name(served, '*') or has_name(served, job.service)) then return end
  return 'service', type(job.service) == 'string' and job.service or ''
end

local function too_small(asks, has)
  for _, field in ipairs(AMOUNTS) do
    local least = given(asks[field])
    if least ~= nil and least ~= 'all' then
      if type(least) ~= 'number' then malformed('hardware.' .. field) end
      local there = given(has[field])
      if type(there) ~= 'number' or there < least then return 'hardware.' .. field, '' end
    end
  end
end

local function not_among(wanted, has, rule)
  wanted = names(wanted, rule)
  if wanted == nil or wanted == 'all' then return end
  if type(has) == 'string' and has_name(wanted, has) then return end
  return rule, type(has) == 'string' and has or ''
end

local function one_of(unwanted, has, rule)
  unwanted = names(unwanted, rule)
  if unwanted == nil or type(has) ~= 'string' then return end
  if unwanted == 'all' or has_name(unwanted, has) then return rule, has end
end

local function missing(asks, field, has)
  local wanted = names(asks[field], field)
  local there = names(has, 'capabilities.' .. field)
  if wanted == nil or wanted == 'all' or there == 'all' then return end
  for _, name in ipairs(wanted) do
    if there == nil or not has_name(there, name) then return field, name end
  end
end

local function present(exclude, field, has)
  local unwanted = names(exclude[field], 'exclude.' .. field)
  local there = names(has, 'capabilities.' .. field)
  if unwanted == nil or there == nil then return end
  if unwanted == 'all' then
    if there == 'all' or #there > 0 then return 'exclude.' .. field, '' end
    return
  end
  for _, name in ipairs(unwanted) do
    if there == 'all' or has_name(there, name) then return 'exclude.' .. field, name end
  end
end

local function lacks_workflow(workflow, served)
  workflow = given(workflow)
  if workflow == nil or workflow == 'all' then return end
  if type(workflow) ~= 'string' then malformed('workflow') end
  served = names(served, 'capabilities.workflows')
  if served == nil or served == 'all' or has_name(served, workflow) then return end
  return 'workflow', workflow
end

-- The deny list holds always; the rest depends on how strictly either side wants to be apart.
local function other_customers(customer, isolation, offers)
  isolation = given(isolation)
  if isolation ~= nil and not ISOLATIONS[isolation] then malformed('isolation') end
  local takes = object(offers.customers, 'capabilities.customers')
  local apart = given(takes.isolation)
  if apart ~= nil and not ISOLATIONS[apart] then malformed('capabilities.customers.isolation') end
  local deny = names(takes.deny, 'capabilities.customers.deny')
  local allow = names(takes.allow, 'capabilities.customers.allow')
  local name = type(customer) == 'string' and customer or nil
  if deny == 'all' or (deny and name and has_name(deny, name)) then return 'customer.denied', name or '' end
  local allowed = name ~= nil and (allow == 'all' or (allow ~= nil and has_name(allow, name)))
  if apart == 'strict' and not allowed then return 'customer.not_allowed', name or '' end
  if apart == 'loose' and name and allow ~= nil and not allowed then return 'customer.not_allowed', name end
  if isolation == 'strict' and not (apart == 'strict' and allowed) then return 'customer.isolation', 'strict' end
  if isolation == 'loose' and not ((apart == 'loose' or apart == 'strict') and allowed) then
    return 'customer.isolation', 'loose'
  end
end

-- Each rule as a function of one pair, in the order in which they are looked at.
local RULES = {
  function(p) return lacks_service(p.job, p.offers) end,
  function(p) return one_of(p.exclude.workers, p.worker_id, 'exclude.workers') end,
  function(p) return too_small(p.hardware, p.has) end,
  function(p) return not_among(p.hardware.gpu_model, p.has.gpu_model, 'hardware.gpu_model') end,
  function(p) return one_of(p.exclude.gpu_model, p.has.gpu_model, 'exclude.gpu_model') end,
  function(p) return missing(p.asks, 'models', p.offers.models) end,
  function(p) return missing(p.asks, 'components', p.offers.components) end,
  function(p) return present(p.exclude, 'models', p.offers.models) end,
  function(p) return present(p.exclude, 'components', p.offers.components) end,
  function(p) return lacks_workflow(p.asks.workflow, p.offers.workflows) end,
  function(p) return not_among(p.asks.region, p.offers.region, 'region') end,
  function(p) return one_of(p.exclude.region, p.offers.region, 'exclude.region') end,
  function(p) return other_customers(p.job.customer, p.asks.isolation, p.offers) end,
}

local function first_reason(job, worker)
  local offers = object(worker.capabilities, 'capabilities')
  local asks = object(job.requirements, 'requirements')
  local pair = {
    job = job, worker_id = worker.id, offers = offers, asks = asks,
    hardware = object(asks.hardware, 'hardware'), has = object(offers.hardware, 'capabilities.hardware'),
    exclude = object(asks.exclude, 'exclude'),
  }
  for _, rule in ipairs(RULES) do
    local broken, value = rule(pair)
    if broken then return broken, value end
  end
end

local function why_not(job, worker)
  local fine, rule, value = pcall(first_reason, job, worker)
  if fine then return rule, value end
  if type(rule) == 'table' and rule.malformed then return 'malformed', rule.malformed end
  error(rule, 0)
end
