// Keeps the events of one session's streams, so that a client whose stream broke may resume it.

const MAX_EVENTS = 256;

export function eventStore() {
  const events = [];
  let next = 0;
  return {
    async storeEvent(streamId, message) {
      const eventId = `${streamId}_${next++}`;
      events.push({ eventId, streamId, message });
      if (events.length > MAX_EVENTS) events.shift();
      return eventId;
    },
    async getStreamIdForEventId(eventId) {
      return events.find(event => event.eventId === eventId)?.streamId;
    },
    async replayEventsAfter(lastEventId, { send }) {
      const at = events.findIndex(event => event.eventId === lastEventId);
      const streamId = events[at]?.streamId ?? '';
      for (const event of events.slice(at + 1)) {
        if (event.streamId === streamId && event.message.jsonrpc) await send(event.eventId, event.message);
      }
      return streamId;
    },
  };
}
