"""The page of `genreflow web`: listen to songs and see what a model hears in them.

page.py        its addresses
receiving.py   uploads: limits, private files
analysis.py    one song through the decoder, the front end and the model
sound.py       spectrogram and waveform, small enough for a page
models.py      the model server, and clients of its versions
own_server.py  a server of the page's own, for --model-dir
facts.py       what is known of a version, for people
answers.py     results as JSON and CSV
"""
