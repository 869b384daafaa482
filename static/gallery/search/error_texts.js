/** What the service refuses, in the language of the page. The API itself speaks English. */

const BUSY = gettext("The service has too much to do right now. Try again in a moment.");
const NOT_ALLOWED = gettext("You may not do this here. Sign in, or ask an administrator.");

const TEXTS = {
  invalid: gettext("Something that was entered cannot be used."),
  not_found: gettext("It is not stored here, or not any more."),
  exists: gettext("It is in the gallery already."),
  conflict: gettext("It is there already, or has changed since it was read."),
  busy: BUSY,
  busy_fetching: BUSY,
  backlog: BUSY,
  throttled: gettext("These were too many requests in a short time. Try again in a moment."),
  unavailable: gettext("This is off here, or not ready yet."),
  forbidden: NOT_ALLOWED,
  access_refused: NOT_ALLOWED,
  not_authenticated: NOT_ALLOWED,
  fetch_unreachable: gettext("The host of the link does not answer, or there is none of this name."),
  fetch_timeout: gettext("The host of the link took too long to answer."),
  fetch_status: gettext("The host of the link answered with an error instead of a file."),
  fetch_redirects: gettext("The link leads to other links, too many times."),
  fetch_too_large: gettext("The file behind the link is larger than the service takes."),
  fetch_refused: gettext("This address is not fetched from here."),
  not_an_image: gettext("It is no picture that can be read here, or it is damaged."),
  image_too_large: gettext("The picture has too many bytes or pixels: take a smaller version."),
  image_too_slow: gettext("The picture takes too long to read: take a simpler or smaller version."),
  too_large: gettext("It is larger than the service takes."),
  not_a_video: gettext("It is no video that can be read here, or it is damaged."),
  video_too_large: gettext("The video is too large or too long: take a smaller or shorter version."),
  video_too_slow: gettext("The video takes too long to read: take a shorter or smaller version."),
  flat_picture: gettext("The picture has a single colour, so that there is nothing to compare."),
  query_banned: gettext("This picture must not be searched with, or shared, here."),
  share_ended: gettext("This link has ended. Ask whoever sent it to share the search again."),
  too_many_shared: gettext("Too many searches are shared at the moment. Try again later."),
};

/** The sentence for an error's `code`; in English the service's own, which says more. */
export function explained(code, detail) {
  const isEnglish = document.documentElement.lang.startsWith("en");
  return isEnglish ? detail : (TEXTS[code] ?? detail);
}
