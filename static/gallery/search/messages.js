/** Texts of the page: titles, empty states, errors. */

import { fromTemplate } from "./dom.js";
import * as format from "./format.js";
import { notice } from "./results.js";

/** The title over the matches, and how they were found. */
export function describeMatches(results, { found, shown, threshold, state, settings }) {
  const limitReached = found.results.length === state.limit;
  const title = settings.scale.within(threshold, shown);
  const n = format.count(found.results.length);
  const searched = limitReached
    ? format.fill(gettext("of the %(n)s nearest"), { n })
    : format.fill(gettext("of %(n)s found"), { n });
  const by = settings.label ?? found.match_type;
  const took = found.took_ms < 10 ? found.took_ms.toFixed(1) : Math.round(found.took_ms);
  results.describe(title, [searched, by, `${took} ms`].join(" · "));
}

/** Messages about the matches: nothing comparable, nothing near. */
export function matchNotices({ found, shown, settings, pending, widen, add }) {
  const { scale } = settings;
  const addAction = add ? [[gettext("Add this picture…"), add]] : [];
  if (found.low_information) return [lowInformation(found, settings, addAction)];
  const [nearest] = found.results;
  if (!nearest) {
    const text = [scale.none, waitingText(pending)].filter(Boolean).join(" ");
    return [notice(gettext("No similar picture"), text, addAction)];
  }
  if (!shown) {
    const enough = Number((Math.ceil(nearest.distance / scale.step) * scale.step).toFixed(3));
    const actions = [[scale.widen(enough), () => widen(enough), true], ...addAction];
    return [notice(scale.nothing, scale.nearest(nearest.distance), actions)];
  }
  return [];
}

function waitingText(pending) {
  if (!pending) return "";
  const text = ngettext(
    "%(n)s picture on the way will be searchable soon.",
    "%(n)s pictures on the way will be searchable soon.",
    pending,
  );
  return format.fill(text, { n: format.count(pending) });
}

/** Below the matches: that the query itself is not in the gallery yet, and can be added. */
export function notHereYet({ found, shown, settings, add }) {
  const [nearest] = found.results;
  if (!add || !shown || found.low_information || settings.scale.isSame(nearest)) return [];
  const text = gettext("No picture found is identical: this one is not in the gallery yet.");
  return [notice(null, text, [[gettext("Add this picture…"), add]])];
}

/** Copies are still looked for, but only certain ones shown; the other types have nothing to do. */
function lowInformation(found, settings, actions) {
  if (settings.scale.showsCertain) {
    const text =
      gettext("It is nearly flat, dark or empty, so that many pictures would look like it. Only matches that are certain are shown.");
    return notice(gettext("This picture has almost no detail"), text, actions);
  }
  const text = format.fill(
    gettext("It has nothing that %(type)s could compare, such as a single flat colour. Try another match type."),
    { type: settings.label ?? found.match_type },
  );
  return notice(gettext("This picture cannot be compared"), text, actions);
}

/** Before a search with an upload is shared: what that means. */
export function askToShare({ share_hours: hours }, inVideos, share, cancel) {
  const kept = inVideos
    ? ngettext(
        "For a link, the service keeps the pictures of your clip that a search looks at, 40 at most, without sound, for %(n)s hour at most.",
        "For a link, the service keeps the pictures of your clip that a search looks at, 40 at most, without sound, for %(n)s hours at most.",
        hours,
      )
    : ngettext(
        "For a link, the service keeps a small copy of your picture, for %(n)s hour at most.",
        "For a link, the service keeps a small copy of your picture, for %(n)s hours at most.",
        hours,
      );
  const who = gettext("Whoever has the link and may search here sees that and what it finds. Nobody else does.");
  const text = [format.fill(kept, { n: format.count(hours) }), who].join(" ");
  return notice(gettext("Share this search?"), text, [[gettext("Make the link"), share, true], [gettext("Cancel"), cancel]]);
}

/** `address` leads to the shared search until `endsAt`. */
export function shared(address, endsAt, copy) {
  const text = format.fill(gettext("It works until %(time)s: %(address)s"), { time: format.moment(endsAt), address });
  return notice(gettext("The link is made"), text, [[gettext("Copy the link"), copy, true]], { role: "status" });
}

/** After a reload the uploaded file is gone. */
export function uploadGone(inVideos, choose) {
  const text = inVideos
    ? gettext("A clip or picture that is only searched with is not stored. To keep a search, search with a link or with a picture of the gallery; a search with an upload can be shared for a time.")
    : gettext("A picture that is only searched with is not stored. To keep a search, search with a link or with a picture of the gallery; a search with an upload can be shared for a time.");
  const label = inVideos ? gettext("Choose a clip or picture") : gettext("Choose a picture");
  const actions = [[label, choose, true]];
  const title = inVideos ? gettext("Choose the clip or picture again") : gettext("Choose the picture again");
  return [title, notice(gettext("Uploads do not survive a reload"), text, actions)];
}

/** A file that would be refused after it was sent. `query_bytes`: the limit. */
export function tooLarge({ name, size }, { query_bytes: most }, choose) {
  const text = format.fill(
    gettext("%(name)s has %(size)s. A search takes files of up to %(most)s: choose a smaller version, or a shorter clip."),
    { name: name || gettext("The file"), size: format.bytes(size), most: format.limit(most) },
  );
  const actions = [[gettext("Choose another file"), choose, true]];
  return [gettext("The file is too large"), notice(null, text, actions, { role: "alert" })];
}

const MATCH_TYPES_OFF = { clip: gettext("Search by meaning is off here.") };

export const matchTypeOff = (name) => MATCH_TYPES_OFF[name] ?? gettext("This is off here.");

/** What is said to words where they cannot be searched, and to what is no link. */
export const NO_LINK = gettext("This is no link. Enter one such as example.com/cat.jpg, or choose a file.");

/** The first start: how to add pictures. */
export function emptyGallery(choose) {
  const { node, slot } = fromTemplate("empty-gallery");
  slot("choose").addEventListener("click", choose);
  slot("curl").textContent = `curl -F file=@picture.jpg ${location.origin}/api/v1/images/`;
  return node;
}

const TITLES = {
  unreachable: gettext("The server did not answer"),
  unavailable: gettext("This match type is not available"),
  throttled: gettext("Too many searches at once"),
  not_found: gettext("There is no such picture"),
  share_ended: gettext("This link has ended"),
  query_banned: gettext("This picture is refused"),
  not_an_image: gettext("That is not a picture"),
  image_too_large: gettext("The file is too large"),
  too_large: gettext("The file is too large"),
  not_a_video: gettext("That is not a video"),
  video_too_large: gettext("The video is too large"),
  video_too_slow: gettext("The video takes too long"),
};

const SIGN_IN = gettext("This service answers people who have signed in, and programs that send an API key.");
const LOGIN_LINK = gettext("On the server, manage.py login_link prints a link that lets this browser in.");

/** Refusals that the operator's settings cause: what is said instead, by code. */
const OPERATORS = {
  unavailable: gettext("This search is off here, or not ready yet."),
  fetch_refused: gettext("This address is not fetched from here. Check the link, or choose the file instead."),
};

/**
 * [title, message] of a refusal; trying again is offered where it may help, and `inVideos`, if
 * given, where the file may be a video instead.
 */
export function failure(error, retry, inVideos) {
  if (error.needsSignIn) {
    const next = encodeURIComponent(location.pathname + location.search);
    const actions = [[gettext("Sign in"), `/admin/login/?next=${next}`, true]];
    const isUnknown = error.status === 401;
    const text = isUnknown ? SIGN_IN : error.message;
    const operator = isUnknown ? LOGIN_LINK : "";
    return [gettext("Sign in to search"), notice(null, text, actions, { operator })];
  }
  const inputAtFault = error.status >= 400 && error.status < 500 && error.status !== 429;
  const general = inputAtFault ? gettext("The search was refused") : gettext("The service failed");
  const title = error.code?.startsWith("fetch_") ? gettext("The link could not be fetched") : TITLES[error.code];
  const actions = inputAtFault ? [] : [[gettext("Try again"), retry, true]];
  if (inVideos) actions.push([gettext("Search the videos with it"), inVideos, true]);
  const text = OPERATORS[error.code] ?? error.message;
  // What the service said is more exact, but English, or about its settings.
  const operator = error.detail && error.detail !== text ? error.detail : "";
  return [title ?? general, notice(null, text, actions, { role: "alert", operator })];
}
