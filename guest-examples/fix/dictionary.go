// What this codec knows of the dictionary of FIX 4.4: its own fields, the fields that may contain SOH,
// and what each message must have.

package main

// Tags that the codec reads or writes itself.
const (
	tagBeginSeqNo      = 7
	tagBeginString     = 8
	tagBodyLength      = 9
	tagCheckSum        = 10
	tagEndSeqNo        = 16
	tagMsgSeqNum       = 34
	tagMsgType         = 35
	tagNewSeqNo        = 36
	tagPossDupFlag     = 43
	tagRefSeqNum       = 45
	tagSenderCompID    = 49
	tagSendingTime     = 52
	tagTargetCompID    = 56
	tagText            = 58
	tagEncryptMethod   = 98
	tagHeartBtInt      = 108
	tagTestReqID       = 112
	tagOrigSendingTime = 122
	tagGapFillFlag     = 123
	tagResetSeqNumFlag = 141
	tagRefTagID        = 371
	tagRefMsgType      = 372
	tagRejectReason    = 373
	tagBusinessReason  = 380
)

// MsgTypes that the codec sends and answers.
const (
	heartbeat      = "0"
	testRequest    = "1"
	resendRequest  = "2"
	reject         = "3"
	sequenceReset  = "4"
	logout         = "5"
	logon          = "A"
	businessReject = "j"
)

// isOfSession returns whether the codec answers and sends messages of this type itself.
func isOfSession(kind string) bool {
	return len(kind) == 1 && (kind[0] >= '0' && kind[0] <= '5' || kind[0] == 'A')
}

// isOfCodec returns whether the codec writes this field in every message, so that the application
// neither sees nor sends it.
func isOfCodec(tag int) bool {
	switch tag {
	case tagBeginString, tagBodyLength, tagCheckSum, tagMsgSeqNum, tagPossDupFlag, tagSenderCompID,
		tagSendingTime, tagTargetCompID, tagOrigSendingTime:
		return true
	}
	return false
}

// dataFields has the fields that may contain any bytes: their tags, by the tags of the length fields
// that stand before them.
var dataFields = map[int]int{
	90:  91,  // SecureData
	93:  89,  // Signature
	95:  96,  // RawData
	212: 213, // XmlData
	348: 349, // EncodedIssuer
	350: 351, // EncodedSecurityDesc
	352: 353, // EncodedListExecInst
	354: 355, // EncodedText
	356: 357, // EncodedSubject
	358: 359, // EncodedHeadline
	360: 361, // EncodedAllocText
	362: 363, // EncodedUnderlyingIssuer
	364: 365, // EncodedUnderlyingSecurityDesc
	445: 446, // EncodedListStatusText
	618: 619, // EncodedLegIssuer
	621: 622, // EncodedLegSecurityDesc
}

// lengthFields has the same pairs, by the tags of the data fields.
var lengthFields = func() map[int]int {
	lengths := make(map[int]int, len(dataFields))
	for length, data := range dataFields {
		lengths[data] = length
	}
	return lengths
}()

// required has the fields that a message of the client must have. Messages that are not here are
// the application's to check.
var required = map[string][]int{
	testRequest:   {tagTestReqID},
	resendRequest: {tagBeginSeqNo, tagEndSeqNo},
	reject:        {tagRefSeqNum},
	sequenceReset: {tagNewSeqNo},
	logon:         {tagEncryptMethod, tagHeartBtInt},
	// Orders: ClOrdID, OrigClOrdID, Symbol, Side, TransactTime, OrdType.
	"D": {11, 55, 54, 60, 40},
	"F": {41, 11, 55, 54, 60},
	"G": {41, 11, 55, 54, 60, 40},
	"H": {11, 55, 54},
}
