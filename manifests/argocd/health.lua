-- Health of a BookingQueue for Argo CD. Put it into the ConfigMap argocd-cm, under the key
-- resource.customizations.health.bookingqueue.dev_BookingQueue
local status = obj.status or {}
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function holds(type)
  return found[type] ~= nil and found[type].status == "True"
end

local function health(state, type)
  local condition = found[type] or {}
  local message = (condition.reason or type) .. ": " .. (condition.message or "not reported yet")
  return { status = state, message = message }
end

-- A paused operator follows no new generation.
if holds("Paused") then
  return health("Suspended", "Paused")
end
if found["Ready"] == nil then
  return { status = "Progressing", message = "The operator has not reported yet." }
end
-- No spec mends it, so it does not wait for the newest one to be seen.
if holds("SchemaBehind") then
  return health("Degraded", "SchemaBehind")
end
if (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return { status = "Progressing", message = "The operator has not seen the latest spec yet." }
end
if holds("Stalled") then
  return health("Degraded", "Stalled")
end
if found["Hibernated"] ~= nil then
  return health("Suspended", "Hibernated")
end
if holds("Ready") and not holds("Reconciling") then
  return health("Healthy", "Ready")
end
if found["Ready"].reason == "ScaledToZero" then
  return health("Suspended", "Ready")
end
if holds("Reconciling") then
  return health("Progressing", "Reconciling")
end
return health("Progressing", "Ready")
