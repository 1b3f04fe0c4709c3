"""CEF's own dictionary: what each key takes that a user may give to a field.

Source: CEF Implementation Standard, OpenText, version 27 (ArcSight extension dictionary). `c6a2` is
missing in its table, readers have it.
"""

import re

from cefline_schemas.dictionary import Fit, Home, Key

_TEXTS = {
    31: "app proto",
    40: "externalId",
    63: "act outcome",
    100: "dvchost",
    128: "deviceInboundInterface deviceOutboundInterface devicePayloadId",
    255: "destinationDnsDomain deviceDnsDomain deviceExternalId deviceNtDomain dntdom dtz fileHash"
    " oldFileHash sntdom sourceDnsDomain",
    1023: "cat destinationServiceName deviceFacility deviceProcessName dhost dpriv dproc duid duser"
    " fileId filePath filePermission fileType flexString1 flexString2 fname msg oldFileId"
    " oldFileName oldFilePath oldFilePermission oldFileType reason request"
    " requestClientApplication requestCookies requestMethod shost sourceServiceName spriv sproc"
    " suid suser",
    2048: "requestContext",
    4000: "cs1 cs2 cs3 cs4 cs5 cs6",
}
_TYPED: dict[Fit, str] = {
    "ipv4": "destinationTranslatedAddress deviceTranslatedAddress dst dvc sourceTranslatedAddress"
    " src",
    "ipv6": "c6a1 c6a2 c6a3 c6a4",
    "port": "destinationTranslatedPort dpt sourceTranslatedPort spt",
    "number": "cn1 cn2 cn3",
    "instant": "deviceCustomDate1 deviceCustomDate2 end fileCreateTime fileModificationTime"
    " flexDate1 oldFileCreateTime oldFileModificationTime rt start",
}
_SHORT = "cnt dpid dvcpid fsize in oldFileSize out spid"
"""Keys of 32 bits: what is written in nine bytes is surely one."""

TAKES: dict[str, Home] = {
    **{key: Home(Key(key), None, most) for most, keys in _TEXTS.items() for key in keys.split()},
    **{key: Home(Key(key), fits) for fits, keys in _TYPED.items() for key in keys.split()},
    **{key: Home(Key(key), "number", 9) for key in _SHORT.split()},
}
"""By key, what fits it."""

_REFUSED = (
    "type eventId rawEvent agentDnsDomain agentNtDomain agentTranslatedAddress"
    " agentTranslatedZoneExternalID agentTranslatedZoneURI agentZoneExternalID agentZoneURI agt"
    " ahost aid amac art at atz av cfp1 cfp2 cfp3 cfp4 customerExternalID customerURI"
    " deviceDirection dlat dlong dmac slat slong smac"
)
REFUSED = frozenset(_REFUSED.split())
"""Keys that no field can have: none has values of their types, or consumers set them."""

LABELLED = re.compile(r"(c6a|cn|cs)[1-6]|flex(String|Date)[12]|deviceCustomDate[12]")
"""Keys that mean nothing without a label."""

_OBJECTS = (
    "agent as client cloud code_signature container data_stream destination device dll dns ecs elf"
    " email entity error event faas file geo group hash host http interface labels log macho"
    " network observer orchestrator organization os package pe process registry related risk rule"
    " server service source span tags threat tls trace transaction tracing url user user_agent vlan"
    " volume vulnerability x509"
)
OBJECTS = frozenset(_OBJECTS.split())
"""Objects and lists in the Elastic Common Schema: text under such a name loses the event."""

FORMS: dict[Fit, frozenset[str]] = {
    "ipv4": frozenset({"text"}),
    "ipv6": frozenset({"text"}),
    "port": frozenset({"text", "int"}),
    "number": frozenset({"text", "int", "time", "millis"}),
    "instant": frozenset({"millis"}),
}
"""The forms of fields whose values can be so; seconds are no instant of the dictionary."""
