/** Whether a file or a link is a picture, an animation or a clip. */

/** Endings of videos; browsers know no type for some of them. */
const CLIP = /\.(mp4|m4v|mov|mkv|webm|avi|ts|m2ts|mts|ogv|ogg|mpe?g|3gp)$/i;
const HEAD_BYTES = 4e6; // the second picture of an animation begins before
const ANIMATED = {
  "image/gif": isAnimatedGif,
  "image/webp": (bytes) => indexOf(bytes, "ANIM", 64) > 0,
  "image/png": isAnimatedPng,
  "image/apng": isAnimatedPng,
};

/** Whether a file is a video, as its type or its name say. */
export const isClip = ({ type, name }) =>
  type.startsWith("video/") || (!type.startsWith("image/") && CLIP.test(name ?? ""));

/** Endings of pictures that some browsers know no type for. */
const PICTURE = /\.(heic|heif|avif|jxl|jp2|j2k|tiff?|bmp|webp|png|gif|jpe?g)$/i;

export const isPictureFile = ({ type, name }) => type.startsWith("image/") || PICTURE.test(name ?? "");

/** Whether browsers show such a picture, as its type or its name say. */
export const isShownByBrowsers = ({ type, name }) => !/heic|heif|tiff?$|jxl|jp2|j2k/i.test(type || name);

/** Whether a link ends like a video. */
export const isClipLink = (url) => CLIP.test(new URL(url).pathname);

/** Whether a file is a picture that moves. */
export async function isAnimation(file) {
  const isAnimated = ANIMATED[file.type];
  if (!isAnimated) return false;
  return isAnimated(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
}

/** APNG says so before its first picture. */
function isAnimatedPng(bytes) {
  const control = indexOf(bytes, "acTL");
  const picture = indexOf(bytes, "IDAT");
  return control > 0 && (picture < 0 || control < picture);
}

/** A GIF moves if it has a second picture. */
function isAnimatedGif(bytes) {
  const tableBytes = (flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let pictures = 0;
  let at = 13 + tableBytes(bytes[10]);
  while (at < bytes.length) {
    const kind = bytes[at];
    if (kind === 0x2c) {
      pictures += 1;
      if (pictures > 1) return true;
      at += 11 + tableBytes(bytes[at + 9]);
    } else if (kind === 0x21) {
      at += 2;
    } else {
      return false;
    }
    while (bytes[at]) at += bytes[at] + 1; // sub-blocks, up to an empty one
    at += 1;
  }
  return false;
}

function indexOf(bytes, word, within = bytes.length) {
  const codes = [...word].map((letter) => letter.charCodeAt(0));
  for (let at = 0; at + codes.length <= Math.min(within, bytes.length); at += 1) {
    if (codes.every((code, offset) => bytes[at + offset] === code)) return at;
  }
  return -1;
}
