-- Data-quality rules of the catalog. A rule is a query that finds the rows which break it; none found, and it holds.
-- Above each query stands its name and, after a colon, `error` or `warning`, then what holds. A file of yours
-- (`ytb-ads catalog check --rules FILE`, or `checks` of `[release]`) adds rules in the same way; a rule with a name
-- that stands here takes its place, and the query `SELECT 1 WHERE false` turns it off. Rules on columns that may not
-- be null and on keys of other tables are made from the tables' description.
--
-- Tables of the catalog can be asked for by their names, all releases as `releases`, the newest as `release`, and the
-- one that it was made from as `parent`.

-- ads_have_a_length: warning: every ad with a video is between half a second and an hour long
SELECT video_id, duration_s FROM ads WHERE media_status <> 'missing' AND duration_s NOT BETWEEN 0.5 AND 3600;

-- frames_lie_within_the_ad: error: a frame's moment lies between the begin of its ad and its end, to a second
SELECT frame_id, timestamp_s, duration_s FROM frames JOIN ads USING (video_id)
WHERE timestamp_s < 0 OR timestamp_s > duration_s + 1;

-- frames_have_a_size: error: no picture is smaller than 16 pixels
SELECT frame_id, width, height FROM frames WHERE width < 16 OR height < 16;

-- words_are_counted: error: n_words is the number of the words, and each is read with a confidence of 0 to 1
SELECT frame_id, n_words FROM texts
WHERE n_words <> len(words) OR len(list_filter(words, lambda word: word.confidence NOT BETWEEN 0 AND 1)) > 0;

-- scores_are_strengths: error: strengths lie between 1 and 5 and between -5 and -1
SELECT comment_id, positive, negative FROM comment_scores
WHERE positive NOT BETWEEN 1 AND 5 OR negative NOT BETWEEN -5 AND -1;

-- scores_have_an_ad: error: a comment's score is filed under the comment's own ad
SELECT comment_id, comment_scores.video_id FROM comment_scores JOIN comments USING (comment_id)
WHERE comment_scores.video_id <> comments.video_id;

-- means_lie_within_their_interval: error: means lie between -5 and 5, and within the bootstrap's interval
SELECT video_id, mean_low, mean_score, mean_high FROM ad_sentiment
WHERE mean_score NOT BETWEEN -5 AND 5 OR mean_score < mean_low - 1e-9 OR mean_score > mean_high + 1e-9;

-- comments_are_counted: error: an ad's comments are those in the means and those left out of them
SELECT video_id, n_comments, n_scored FROM ad_sentiment
WHERE n_comments <> n_scored + n_only_links + n_other_language + n_duplicates + n_repeats;

-- labels_are_classes: error: a label is negative or positive, and reviewers agree to between nothing and all
SELECT video_id, label, agreement FROM labels
WHERE label NOT IN ('negative', 'positive') OR agreement NOT BETWEEN 0 AND 1;

-- labels_are_reviewed: warning: where people have settled labels, they have settled at least half of them
SELECT count(*) FILTER (decided_by = 'comments') AS by_comments, count(*) AS labels FROM labels
HAVING by_comments < labels AND by_comments > labels / 2;

-- few_failures: warning: at most one item in twenty of a stage is left out by a fault
SELECT stage, count(*) FILTER (kind = 'failed') AS failed, count(*) AS dropped FROM drops
GROUP BY stage HAVING failed > 20 AND failed > (SELECT count(*) FROM ads) / 20;

-- splits_share_no_ad: error: no ad stands in two splits of a release, nor do two uploads of one ad
SELECT coalesce(group_id, video_id) AS ad, list(DISTINCT split) AS splits
FROM release LEFT JOIN (SELECT video_id, group_id FROM reuploads) USING (video_id)
GROUP BY ad HAVING count(DISTINCT split) > 1;

-- splits_share_no_picture: error: no picture stands in two splits of a release
SELECT image_sha256, list(DISTINCT split) AS splits, list(DISTINCT frames.video_id) AS ads
FROM release JOIN frames USING (frame_id) GROUP BY image_sha256 HAVING count(DISTINCT split) > 1;

-- rows_have_their_class: error: rows of a release carry the label of their ad
SELECT frame_id, release.label, labels.label FROM release JOIN labels USING (video_id)
WHERE labels.label <> ['negative', 'positive'][release.label + 1];

-- categories_have_ads: warning: each category of a release has at least five ads
SELECT category, count(DISTINCT video_id) AS ads FROM release GROUP BY category HAVING ads < 5;

-- classes_are_there: warning: every split of a release has both classes
SELECT split, count(DISTINCT label) AS classes FROM release GROUP BY split HAVING classes < 2;

-- labels_do_not_drift: warning: the share of positive ads is within 10 points of the parent's
SELECT round(now.share, 3) AS positive, round(before.share, 3) AS in_parent
FROM (SELECT avg(label) AS share FROM (SELECT DISTINCT video_id, label FROM release)) AS now,
     (SELECT avg(label) AS share FROM (SELECT DISTINCT video_id, label FROM parent)) AS before
WHERE abs(now.share - before.share) > 0.1;

-- scores_do_not_drift: warning: the ads' mean score is within half a point of the parent's
SELECT round(now.mean, 3) AS mean, round(before.mean, 3) AS in_parent
FROM (SELECT avg(mean_score) AS mean FROM (SELECT DISTINCT video_id, mean_score FROM release)) AS now,
     (SELECT avg(mean_score) AS mean FROM (SELECT DISTINCT video_id, mean_score FROM parent)) AS before
WHERE abs(now.mean - before.mean) > 0.5;

-- ads_do_not_vanish: warning: at most a tenth of the parent's ads is gone
SELECT count(DISTINCT video_id) AS gone FROM parent WHERE video_id NOT IN (SELECT video_id FROM release)
HAVING gone > (SELECT count(DISTINCT video_id) FROM parent) / 10;

-- forgotten_ads_are_gone: error: no ad that was forgotten is held
SELECT video_id FROM ads WHERE sha256(video_id) IN (SELECT digest FROM forgotten WHERE kind = 'ad');

-- forgotten_authors_are_gone: error: no comment of an author who was forgotten is held
SELECT comment_id FROM comments WHERE author_hash IN (SELECT digest FROM forgotten WHERE kind = 'author');
