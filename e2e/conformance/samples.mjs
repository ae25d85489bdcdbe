// The smallest valid picture and sound, and how a text block and a schema are written here.
import { fromJsonSchema } from '@modelcontextprotocol/server';

export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
export const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=';

export const text = value => ({ type: 'text', text: value });

export const says = value => ({ content: [text(value)] });

/** An object schema with these properties, all of them required. */
export const object = properties => ({ type: 'object', properties, required: Object.keys(properties) });

export const takes = properties => fromJsonSchema(object(properties));

export const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
