/** Texts of the page: titles, empty states, errors. */

import { fromTemplate } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./results.js";

/** The title over the matches, and how they were found. */
export function describeMatches(results, { found, shown, threshold, state, settings }) {
  const limitReached = found.results.length === state.limit;
  const title = settings.scale.within(threshold, shown);
  const searched = limitReached
    ? `of the ${found.results.length} nearest`
    : `of ${format.count(found.results.length)} found`;
  const by = settings.label ?? found.match_type;
  const took = found.took_ms < 10 ? found.took_ms.toFixed(1) : Math.round(found.took_ms);
  results.describe(title, [searched, by, `${took} ms`].join(" · "));
}

/** Messages about the matches: nothing comparable, nothing near. */
export function matchNotices({ found, shown, settings, pending, widen, add }) {
  const { scale } = settings;
  const addAction = add ? [["Add this picture…", add]] : [];
  if (found.low_information) return [lowInformation(found, settings, addAction)];
  const [nearest] = found.results;
  if (!nearest) {
    const waiting = pending
      ? ` ${format.plural(pending, "picture")} on the way will be searchable soon.`
      : "";
    return [notice("No similar picture", scale.none + waiting, addAction)];
  }
  if (!shown) {
    const enough = Number((Math.ceil(nearest.distance / scale.step) * scale.step).toFixed(3));
    const actions = [[scale.widen(enough), () => widen(enough), true], ...addAction];
    return [notice(scale.nothing, scale.nearest(nearest.distance), actions)];
  }
  return [];
}

/** Below the matches: that the query itself is not in the gallery yet, and can be added. */
export function notHereYet({ found, shown, settings, add }) {
  const [nearest] = found.results;
  if (!add || !shown || found.low_information || settings.scale.isSame(nearest)) return [];
  const text = "No picture found is identical: this one is not in the gallery yet.";
  return [notice(null, text, [["Add this picture…", add]])];
}

/** Copies are still looked for, but only certain ones shown; the other types have nothing to do. */
function lowInformation(found, settings, actions) {
  if (settings.scale.showsCertain) {
    const text =
      "It is nearly flat, dark or empty, so that many pictures would look like it. Only matches that are certain are shown.";
    return notice("This picture has almost no detail", text, actions);
  }
  const text = `It has nothing that ${settings.label ?? found.match_type} could compare, such as a single flat colour. Try another match type.`;
  return notice("This picture cannot be compared", text, actions);
}

/** Before a search with an upload is shared: what that means. */
export function askToShare({ share_hours: hours }, share, cancel) {
  const time = hours === 24 ? "24 hours" : format.plural(hours, "hour");
  const text =
    `For a link, the service keeps a small copy of your picture, for ${time} at most. Whoever has the ` +
    "link and may search here sees the picture and what it finds. Nobody else does.";
  return notice("Share this search?", text, [["Make the link", share, true], ["Cancel", cancel]]);
}

/** `address` leads to the shared search until `endsAt`. */
export function shared(address, endsAt, copy) {
  const text = `It works until ${format.moment(endsAt)}: ${address}`;
  return notice("The link is made", text, [["Copy the link", copy, true]], { role: "status" });
}

/** After a reload the uploaded file is gone. */
export function uploadGone(inVideos, choose) {
  const what = inVideos ? "clip or picture" : "picture";
  const text = `A ${what} that is only searched with is not stored. To keep a search, search with a link or with a picture of the gallery; a search with an upload can be shared for a time.`;
  const actions = [[`Choose a ${what}`, choose, true]];
  return [`Choose the ${what} again`, notice("Uploads do not survive a reload", text, actions)];
}

/** A file that would be refused after it was sent. `query_bytes`: the limit. */
export function tooLarge({ name, size }, { query_bytes: most }, choose) {
  const text =
    `${name || "The file"} has ${format.bytes(size)}. A search takes files of up to ` +
    `${format.limit(most)}: choose a smaller version, or a shorter clip.`;
  return ["The file is too large", notice(null, text, [["Choose another file", choose, true]], { role: "alert" })];
}

const MATCH_TYPES_OFF = { clip: "Search by meaning is off here." };

export const matchTypeOff = (name) => MATCH_TYPES_OFF[name] ?? "This is off here.";

/** What is said to words where they cannot be searched, and to what is no link. */
export const NO_LINK = "This is no link. Enter one such as example.com/cat.jpg, or choose a file.";

/** The first start: how to add pictures. */
export function emptyGallery(choose) {
  const { node, slot } = fromTemplate("empty-gallery");
  slot("choose").addEventListener("click", choose);
  slot("curl").textContent = `curl -F file=@picture.jpg ${location.origin}/api/v1/images/`;
  return node;
}

const TITLES = {
  unreachable: "The server did not answer",
  unavailable: "This match type is not available",
  throttled: "Too many searches at once",
  not_found: "There is no such picture",
  share_ended: "This link has ended",
  query_banned: "This picture is refused",
  not_an_image: "That is not a picture",
  image_too_large: "The file is too large",
  too_large: "The file is too large",
  not_a_video: "That is not a video",
  video_too_large: "The video is too large",
  video_too_slow: "The video takes too long",
};

const SIGN_IN = "This service answers people who have signed in, and programs that send an API key.";
const LOGIN_LINK = "On the server, manage.py login_link prints a link that lets this browser in.";

/** Refusals that the operator's settings cause: what is said instead, by code. */
const OPERATORS = {
  unavailable: "This search is off here, or not ready yet.",
  fetch_refused: "This address is not fetched from here. Check the link, or choose the file instead.",
};

/**
 * [title, message] of a refusal; trying again is offered where it may help, and `inVideos`, if
 * given, where the file may be a video instead.
 */
export function failure(error, retry, inVideos) {
  if (error.needsSignIn) {
    const next = encodeURIComponent(location.pathname + location.search);
    const actions = [["Sign in", `/admin/login/?next=${next}`, true]];
    const isUnknown = error.status === 401;
    const text = isUnknown ? SIGN_IN : error.message;
    const operator = isUnknown ? LOGIN_LINK : "";
    return ["Sign in to search", notice(null, text, actions, { operator })];
  }
  const inputAtFault = error.status >= 400 && error.status < 500 && error.status !== 429;
  const general = inputAtFault ? "The search was refused" : "The service failed";
  const title = error.code?.startsWith("fetch_") ? "The link could not be fetched" : TITLES[error.code];
  const actions = inputAtFault ? [] : [["Try again", retry, true]];
  if (inVideos) actions.push(["Search the videos with it", inVideos, true]);
  const plain = OPERATORS[error.code];
  const operator = plain ? error.message : "";
  return [title ?? general, notice(null, plain ?? error.message, actions, { role: "alert", operator })];
}
