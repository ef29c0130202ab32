-- SPDX-License-Identifier: Apache-2.0
--
-- Wireshark dissector for oskr's messages over UDP (engine/message.h). Use it by
--
--     tshark -X lua_script:deploy/wireshark/oskr.lua -r FILE
--
-- or copy it to Wireshark's folder of personal Lua plugins. Filters: oskr.type_name ==
-- "PREPARE", oskr.view, oskr.seq, oskr.sender, ... A vector of MACs has one for each replica,
-- and their number is not in the message: it is the preference "Replicas".

-- TABLES --

local oskr = Proto("oskr", "oskr replication")
oskr.prefs.port = Pref.uint("UDP port", PORT, "messages of other ports are found by their form")
oskr.prefs.replicas = Pref.uint("Replicas", 4, "how many MACs a vector has")

local HEADER_SIZE = HEADER[#HEADER].offset + HEADER[#HEADER].size

-- ---- fields ----

local kinds = { [1] = ProtoField.uint8, [2] = ProtoField.uint16, [4] = ProtoField.uint32,
	[8] = ProtoField.uint64 }
local value_names = { protocol = PROTOCOLS, proof = PROOFS }

local function field_make(prefix, field)
	local name = prefix .. field.name
	if kinds[field.size] == nil then
		return ProtoField.bytes(name, field.name)
	end
	return kinds[field.size](name, field.name, base.DEC, value_names[field.name])
end

local fields = {}
for _, field in ipairs(HEADER) do
	fields["header." .. field.name] = field_make("oskr.", field)
end
for _, field in ipairs(SEGMENT) do
	fields["segment." .. field.name] = field_make("oskr.segment.", field)
end
fields.type_name = ProtoField.string("oskr.type_name", "type's name")
fields.protocol_name = ProtoField.string("oskr.protocol_name", "protocol's name")
fields.proof_size = ProtoField.uint32("oskr.proof_size", "bytes of the proof")
fields.body = ProtoField.bytes("oskr.body", "body")
fields.body_size = ProtoField.uint32("oskr.body_size", "bytes of the body")
fields.proof_bytes = ProtoField.bytes("oskr.proof_bytes", "proof's bytes")
local malformed = ProtoExpert.new("oskr.malformed", "not a message", expert.group.MALFORMED,
	expert.severity.ERROR)
local list = {}
for _, field in pairs(fields) do
	list[#list + 1] = field
end
oskr.fields = list
oskr.experts = { malformed }

-- ---- what a header says ----

local function offset_of(name)
	for _, field in ipairs(HEADER) do
		if field.name == name then
			return field.offset, field.size
		end
	end
end

local function header_value(buffer, name)
	local offset, size = offset_of(name)
	if size == 8 then
		return buffer(offset, size):le_uint64()
	end
	return buffer(offset, size):le_uint()
end

local function type_name(protocol, kind)
	local own = PROTOCOL_TYPES[protocol]
	return TYPES[kind] or (own and own[kind]) or "type " .. kind
end

-- Bytes of a proof, as proof_size() of engine/message.h; nil for an unknown kind.
local function proof_size(kind)
	if PROOFS[kind] == "NONE" then
		return 0
	elseif PROOFS[kind] == "MAC" then
		return MAC_SIZE
	elseif PROOFS[kind] == "VECTOR" then
		return MAC_SIZE * oskr.prefs.replicas
	elseif PROOFS[kind] == "SIGNATURE" then
		return SIGNATURE_SIZE
	end
	for first, name in pairs(PROOFS) do
		if name == "MERKLE" and kind >= first and kind <= first + MERKLE_DEPTH_MAX then
			return MERKLE_HEAD_SIZE + 32 * (kind - first)
		end
	end
	return nil
end

-- What is wrong with the bytes as a message, or nil: the order of message_parse().
local function fault_of(buffer)
	if buffer:len() < HEADER_SIZE then
		return "shorter than a header"
	elseif header_value(buffer, "size") ~= buffer:len() then
		return "its size is not that of the datagram"
	elseif header_value(buffer, "version") ~= MESSAGE_VERSION then
		return "another version"
	end
	local size = proof_size(header_value(buffer, "proof"))
	if size == nil then
		return "an unknown kind of proof"
	elseif HEADER_SIZE + size > buffer:len() then
		return "shorter than its proof"
	end
	return nil
end

-- ---- the tree ----

local function fields_add(tree, prefix, description, buffer)
	for _, field in ipairs(description) do
		tree:add_le(fields[prefix .. field.name], buffer(field.offset, field.size))
	end
end

local function parts_add(tree, buffer)
	local size = proof_size(header_value(buffer, "proof"))
	local body_size = buffer:len() - HEADER_SIZE - size
	tree:add(fields.body_size, body_size):set_generated()
	tree:add(fields.proof_size, size):set_generated()
	if body_size > 0 then
		tree:add(fields.body, buffer(HEADER_SIZE, body_size))
	end
	if size > 0 then
		tree:add(fields.proof_bytes, buffer(HEADER_SIZE + body_size, size))
	end
end

function oskr.dissector(buffer, packet, root)
	local tree = root:add(oskr, buffer())
	packet.cols.protocol = "oskr"
	local fault = fault_of(buffer)
	if buffer:len() < HEADER_SIZE then
		tree:add_proto_expert_info(malformed, fault)
		packet.cols.info = "oskr: " .. fault
		return
	end
	local protocol = header_value(buffer, "protocol")
	local kind = header_value(buffer, "type")
	local name = type_name(protocol, kind)
	local protocol_name = PROTOCOLS[protocol] or "protocol " .. protocol
	fields_add(tree, "header.", HEADER, buffer)
	tree:add(fields.protocol_name, protocol_name):set_generated()
	tree:add(fields.type_name, name):set_generated()
	if kind == MESSAGE_SEGMENT or kind == MESSAGE_SEGMENT_NACK then
		local offset, size = offset_of("digest")
		fields_add(tree, "segment.", SEGMENT, buffer(offset, size):tvb())
	end
	local text = string.format("%s %s from %d, view %s, seq %s", protocol_name, name,
		header_value(buffer, "sender"), tostring(header_value(buffer, "view")),
		tostring(header_value(buffer, "seq")))
	tree:append_text(": " .. text)
	packet.cols.info = text
	if fault ~= nil then
		tree:add_proto_expert_info(malformed, fault)
		packet.cols.info = text .. " (" .. fault .. ")"
	else
		parts_add(tree, buffer)
	end
end

-- ---- where messages are ----

DissectorTable.get("udp.port"):add(PORT, oskr)
local port_now = PORT

function oskr.prefs_changed()
	if oskr.prefs.port ~= port_now then
		DissectorTable.get("udp.port"):remove(port_now, oskr)
		port_now = oskr.prefs.port
		DissectorTable.get("udp.port"):add(port_now, oskr)
	end
end

-- On other ports: what is a message in every respect.
oskr:register_heuristic("udp", function(buffer, packet, root)
	if fault_of(buffer) ~= nil then
		return false
	end
	oskr.dissector(buffer, packet, root)
	return true
end)
