-- Health of a ModelVersion. Lua 5.1; Argo CD runs it with the live object in `obj` and itself answers for objects that are being deleted.
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

local function reason(type)
  return found[type] and found[type].reason or ""
end

if (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return {status = "Progressing", message = "The operator has not looked at it yet."}
end
if is("Stalled") then
  -- Rejected: the gate did its work, and a version is immutable, so that nothing can ever repair this object.
  -- It must not keep an application degraded; the stack that wanted it to serve is, until its recipe changes.
  if reason("Stalled") == "GateMissed" then
    return {status = "Healthy", message = "Rejected: " .. answer("", "Stalled", "it missed a gate.").message}
  end
  return answer("Degraded", "Stalled", "Only a person can help.")
end
if is("Reconciling") then
  return answer("Progressing", "Reconciling", "On its way.")
end
if reason("Ready") == "Suspended" then
  return answer("Suspended", "Ready", "Its stack is suspended.")
end
if reason("Loaded") == "AwaitsPromotion" then
  return answer("Suspended", "Loaded", "It waits for a person to let it serve.")
end
-- Live, superseded, or not live any more: it came to where it can come. One that was superseded in the midst of its training is not Ready.
if is("Ready") or reason("Ready") == "Superseded" then
  return answer("Healthy", "Ready", "Packaged.")
end
return answer("Progressing", "Ready", "The operator has not told yet how it stands.")
