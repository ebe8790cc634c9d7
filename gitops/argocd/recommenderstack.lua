-- Health of a RecommenderStack. Lua 5.1; Argo CD runs it with the live object in `obj` and itself answers for objects that are being deleted.
local status = obj.status or {}
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function is(type)
  return found[type] ~= nil and found[type].status == "True"
end

local function answer(health, type, otherwise)
  local message = found[type] and found[type].message or ""
  return {status = health, message = message ~= "" and message or otherwise}
end

-- Conditions of an older generation say nothing of what was synced just now.
if (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return {status = "Progressing", message = "The operator has not looked at this generation yet."}
end
if is("Stalled") then
  return answer("Degraded", "Stalled", "Only a person can help.")
end
if is("Reconciling") then
  return answer("Progressing", "Reconciling", "On its way to what spec says.")
end
if obj.spec ~= nil and obj.spec.suspend == true then
  return answer("Suspended", "Ready", "spec.suspend is true: nothing new is started.")
end
if is("Ready") then
  return answer("Healthy", "Ready", "All of it is as spec says.")
end
return answer("Progressing", "Ready", "The operator has not told yet whether it is ready.")
